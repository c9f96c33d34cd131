"""Tasks: a typed function is a class of configs, and its body finds its own artifact."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import huldra
from huldra.errors import HuldraClassError, HuldraError


@huldra.task
def dataset(name: str, size: int = 3) -> list[int]:
    """Numbers under a name."""
    return list(range(size))


@huldra.task(cache_version="2", resources=huldra.Resources(cpus=2))
def total(data: huldra.Huldra[list[int]], *, scale: float = 1.0) -> float:
    (huldra.current().huldra_dir / "note.txt").write_text(str(huldra.current().huldra_attempt))
    return scale * sum(data.load_or_create())


def test_a_call_gives_a_config_and_runs_nothing(huldra_root: Path) -> None:
    """Arguments by position and by name are the fields, defaults too."""
    config = dataset("a")
    assert isinstance(config, huldra.Huldra)
    assert config == dataset(name="a", size=3)
    assert repr(config) == "dataset(name='a', size=3)"
    assert not huldra_root.exists()


def test_the_result_is_stored_by_its_type(huldra_root: Path) -> None:
    """A task needs no `_load`, and a config in a parameter is a dependency."""
    config = total(dataset("a", 4), scale=0.5)
    assert config.load_or_create() == 3.0
    assert config.load() == 3.0
    assert dataset("a", 4).exists()
    assert (config.huldra_dir / "note.txt").read_text() == "1"


def test_a_task_runs_on_an_engine(huldra_root: Path) -> None:
    """A worker imports the module and finds the class in the function's place."""
    assert total(dataset("b")).load_or_create(executor="local:1").result(timeout=60) == 3.0


def test_a_config_of_a_task_is_written_down_and_comes_back(huldra_root: Path) -> None:
    """`to_dict` and `to_python` go by the function's name."""
    config = total(dataset("a"))
    assert huldra.Huldra.from_dict(config.to_dict()) == config
    assert config.to_python() == "total(data=dataset(name='a', size=3), scale=1.0)"


def test_keywords_and_resources_reach_the_class(huldra_root: Path) -> None:
    """They are those of classes."""
    assert total.__huldra_cache_version__ == "2"  # type: ignore[attr-defined]  # a class by now
    assert total(dataset("a"))._resources.cpus == 2
    assert inspect.getdoc(dataset) == "Numbers under a name."


async def _asynchronous(n: int) -> int:
    return n


def _generator(n: int):  # type: ignore[no-untyped-def]  # noqa: ANN202, RUF100  what is refused
    yield n


def _untyped(n) -> int:  # type: ignore[no-untyped-def]  # what is refused
    return int(n)


def _many(*numbers: int) -> int:
    return sum(numbers)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (_asynchronous, "async def"),
        (_generator, "yield"),
        (_untyped, "'n' has no annotation"),
        (_many, r"\*numbers"),
    ],
    ids=["async", "generator", "untyped", "many"],
)
def test_a_function_that_cannot_be_a_task_is_refused(function: object, reason: str) -> None:
    """The error names the function and what to write instead."""
    with pytest.raises(HuldraClassError, match=reason):
        huldra.task(function)  # type: ignore[call-overload]  # any function, for the test


def test_a_task_of_a_function_body_is_refused(huldra_root: Path) -> None:
    """No other process could import it."""

    @huldra.task
    def local(n: int = 1) -> int:
        return n

    with pytest.raises(huldra.HuldraClassError, match="function"):
        local().load_or_create()


def test_current_outside_of_a_task_is_an_error() -> None:
    """It says where it was asked."""
    with pytest.raises(HuldraError, match=r"no function of a @huldra\.task"):
        huldra.current()


def test_a_wrong_argument_is_an_error_at_once() -> None:
    """A parameter that the function does not have, and one that it needs."""
    with pytest.raises(TypeError):
        dataset("a", sise=3)  # type: ignore[call-arg]  # what is refused
    with pytest.raises(TypeError):
        dataset()  # type: ignore[call-arg]  # what is refused
