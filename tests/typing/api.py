"""The public API as a type checker sees it: checked by `mypy --strict` and pyright, never run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar, assert_type

import huldra

T = TypeVar("T")


class Data(huldra.Huldra[list[str]]):
    """A plain leaf; resources as an attribute."""

    name: str = "toy"
    workers: int = huldra.field(default=1, hashed=False)
    seed: int = huldra.field(default=0, absent=0)
    _max_wait_time_sec = 5.0
    _resources = huldra.Resources(cpus=1)

    def _create(self) -> list[str]:
        self.log.info("in %s", self.huldra_dir)
        return [self.name]

    def _load(self) -> list[str]:
        return (self.huldra_dir / "data.txt").read_text().split()


class Model(huldra.Huldra[Path]):
    """A class between."""

    data: Data = huldra.field(default_factory=Data)
    lr: float = huldra.chz.field(default=0.1)

    def _create(self) -> Path:
        assert_type(self.data.load_or_create(), list[str])
        return self.huldra_dir

    def _load(self) -> Path:
        return self.raw_dir


class Small(Model):
    """A subclass; resources as a method."""

    def _resources(self) -> huldra.Resources:
        return huldra.Resources(cpus=2, extra={"slurm_partition": "gpu"})

    def _dependencies(self) -> Iterable[huldra.Huldra[Any]]:
        return [self.data]

    def _validate(self) -> bool:
        return True


class Versioned(huldra.Huldra[dict[str, int]], version_controlled=True, cache_version="2"):
    """Class keywords."""

    def _create(self) -> dict[str, int]:
        return {}

    def _load(self) -> dict[str, int]:
        return {}


class Wrapped(huldra.Huldra[T]):
    """A generic class of the user's."""

    inner: huldra.Huldra[T]

    def _create(self) -> T:
        return self.inner.load_or_create()

    def _load(self) -> T:
        return self.inner.load_or_create()


class Models(huldra.HuldraList[Model]):
    """A list over a base class holds subclasses, too."""

    base = Model(lr=0.1)
    small = Small(lr=0.2)
    more = [Model(lr=x) for x in (0.3, 0.4)]  # noqa: RUF012  read once, when the class is made


def one_config() -> None:
    """What a config gives."""
    model = Small(lr=0.5, data=Data(name="x"))
    assert_type(model.load_or_create(), Path)
    assert_type(Versioned().load_or_create(), dict[str, int])
    assert_type(model.data.name, str)
    assert_type(model.lr, float)
    assert_type(model.exists(), bool)
    assert_type(model.huldra_dir, Path)
    assert_type(model.raw_dir, Path)
    assert_type(model.huldra_hash, str)
    assert_type(model.to_python(), str)
    assert_type(Small.from_dict(model.to_dict()), Small)
    assert_type(Wrapped(inner=Data()).load_or_create(), list[str])


def a_job() -> None:
    """An executor attempts T into Job[T]."""
    job = Small().load_or_create(executor="local:2")
    assert_type(job, huldra.Job[Path])
    assert_type(job.result(timeout=5), Path)
    assert_type(job.done(), bool)
    assert_type(job.exception(), Exception | None)


def many_configs() -> None:
    """A list gives its members' type."""
    assert_type(Models.all(), list[Model])
    assert_type(Models.by_name("base"), Model)
    assert_type(len(Models), int)
    for name, model in Models.items():
        assert_type(name, str)
        assert_type(model, Model)
    sweep = Models.load_or_create(executor="local:2")
    assert_type(sweep, huldra.Sweep[Any])
    assert_type(sweep.results(), dict[str, Any])
    assert_type(huldra.load_or_create([Small()], executor="inline"), huldra.Sweep[Path])
    assert_type(huldra.load_or_create({"a": Small()}), dict[str, Path])
    assert_type(sweep["base"], huldra.Job[Any])


def wrong_things() -> None:
    """What a checker must refuse: an ignore that is not needed is an error itself."""
    Data(nmae="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Data("x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    text: str = Data().load_or_create()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    huldra.Resources(cpus="two")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    print(text)


@huldra.task
def scored(name: str, lr: float = 0.1) -> float:
    return lr


assert_type(scored("a", lr=0.2).load_or_create(), float)
assert_type(scored(name="a").load_or_create("inline"), huldra.Job[float])
