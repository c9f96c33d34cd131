"""What a TARGET may be, and what is said where nothing matches."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import huldra
from huldra import chz
from huldra.catalog import Catalog
from huldra.cli import targets
from huldra.cli.output import CommandError, UsageError
from huldra.cli.targets import resolve
from tests.dashboard.store import StoreWriter


class Data(huldra.Huldra[str]):
    name: str = "a"

    def _create(self) -> str:
        return self.name


class Train(huldra.Huldra[float]):
    lr: float = 0.1
    data: Data = chz.field(default_factory=Data)

    def _create(self) -> float:
        self.data.load_or_create()
        return self.lr


class Checked(huldra.Huldra[int]):
    kind: str = "a"

    @chz.validate
    def _check(self) -> None:
        {"a": 1}[self.kind]

    def _create(self) -> int:
        return 1


class Runs(huldra.HuldraList[Train]):
    small = Train(lr=0.5)
    big = Train(lr=0.9)


PAIR = {"one": Data(name="x"), "two": Data(name="y")}
HERE = __name__


@pytest.fixture
def catalog(huldra_store: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """The catalog of an empty store; this module can be imported by its name."""
    monkeypatch.setitem(sys.modules, HERE, sys.modules[__name__])
    return Catalog([str(huldra_store)])


def test_class_with_fields(catalog: Catalog) -> None:
    """Words after a class are its fields, nested ones by their path, as chz reads them."""
    (config,) = resolve(catalog, [f"{HERE}:Train", "lr=3e-4", "data.name=b"]).configs().values()
    assert config == Train(lr=3e-4, data=Data(name="b"))


def test_grid_makes_a_config_per_combination(catalog: Catalog) -> None:
    """Each `-m` is an axis; the members are named by what varies."""
    found = resolve(catalog, [f"{HERE}:Train"], ["lr=1e-3,1e-4", "data.name=a,b"]).configs()
    assert list(found) == [
        "lr=1e-3,data.name=a",
        "lr=1e-3,data.name=b",
        "lr=1e-4,data.name=a",
        "lr=1e-4,data.name=b",
    ]
    assert found["lr=1e-4,data.name=b"] == Train(lr=1e-4, data=Data(name="b"))


@pytest.mark.parametrize(
    ("word", "names"),
    [("Runs", ["small", "big"]), ("Runs.big", ["Runs.big"]), ("PAIR", ["one", "two"])],
)
def test_named_configs(catalog: Catalog, word: str, names: list[str]) -> None:
    """A HuldraList, one of its members and a dict of configs are targets, too."""
    assert list(resolve(catalog, [f"{HERE}:{word}"]).configs()) == names


def test_artifacts_by_their_ids(catalog: Catalog) -> None:
    """IDs lead to the configs of what is in the store."""
    made = [Data(name=name) for name in "pq"]
    huldra.load_or_create(made)
    found = resolve(catalog, [one.huldra_hash[:10] for one in made])
    assert list(found.configs().values()) == made


def test_run_by_its_beginning(catalog: Catalog) -> None:
    """A run's id, cut short, leads to its named members."""
    Runs.load_or_create("threads:1").wait()
    (run,) = catalog.sweeps()
    assert dict(resolve(catalog, [run.run_id[:15]]).configs()) == dict(Runs.items())
    assert dict(resolve(catalog, ["Runs"]).configs()) == dict(Runs.items())


def test_a_whole_run_id_is_that_run(store: StoreWriter) -> None:
    """The id of one run may be the beginning of another's."""
    keys = [store.add("p.m/Train", {"n": n}) for n in range(2)]
    for run_id, key in zip(("nightly", "nightly-2"), keys, strict=True):
        store.add_run("Sweep", {"one": key}, {key: ()}, run_id=run_id)
    found = resolve(Catalog([str(store.root)]), ["nightly"])
    assert (found.run_id, found.keys) == ("nightly", {"one": keys[0]})


def test_runs_with_the_same_names_are_both_there(catalog: Catalog) -> None:
    """Of several runs as one target no member is lost: a name of two has its run before it."""
    for lr in (0.5, 0.9):
        huldra.load_or_create({"main": Train(lr=lr), "same": Train(lr=0.1)}, "threads:1").wait()
    words = [run.run_id for run in catalog.sweeps()]
    found = resolve(catalog, words)
    configs = dict(found.configs())
    assert configs.pop("same") == Train(lr=0.1)
    assert sorted(name.partition("/")[0] for name in configs) == sorted(words)
    assert {config.lr for config in configs.values() if isinstance(config, Train)} == {0.5, 0.9}
    parts = [resolve(catalog, [word]) for word in words]
    assert set(found.needs) == {key for part in parts for key in part.needs} != set()


def test_ambiguous_ids_are_listed(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """What more than one artifact may mean is refused, with their keys."""
    made = [Data(name=str(number)) for number in range(2)]
    huldra.load_or_create(made)
    both = catalog.find("Data/" + made[0].huldra_hash) + catalog.find("Data/" + made[1].huldra_hash)
    monkeypatch.setattr(catalog, "find", lambda _: both)
    with pytest.raises(CommandError) as refused:
        resolve(catalog, ["abcd"])
    assert all(one.huldra_hash in str(refused.value) for one in made)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["Trian"], "near it: Train"),
        ([f"{HERE}:Trian"], "near it: Train"),
        ([f"{HERE}:HERE"], "a builtins.str; wanted a Huldra class"),
        (["no_such_package.x:A"], "no module 'no_such_package'"),
        ([f"{HERE}:Runs", "lr=1"], "takes no fields"),
        ([f"{HERE}:Train", "lrr=1"], "Did you mean 'lr'?"),
        ([f"{HERE}:Train", "lr=much"], "lr"),
    ],
)
def test_what_is_said_where_nothing_matches(catalog: Catalog, words: list[str], said: str) -> None:
    """The error names what was found, and what is near it."""
    Train().load_or_create()
    with pytest.raises(CommandError) as refused:
        resolve(catalog, words)
    assert said in str(refused.value)
    assert isinstance(refused.value, UsageError) == (len(words) > 1)


def test_whatever_a_check_raises_is_one_readable_error(catalog: Catalog) -> None:
    """An error in a validator is shown with its type and its place."""
    with pytest.raises(UsageError, match=r"kind=b: KeyError: 'b'\n.*test_targets.py"):
        resolve(catalog, [f"{HERE}:Checked", "kind=b"])


@pytest.mark.parametrize(("words", "grid"), [((), ("lr=1,2", "lr=3,4")), (("lr=1",), ("lr=3,4",))])
def test_a_field_of_a_grid_is_given_once(
    catalog: Catalog, words: tuple[str, ...], grid: tuple[str, ...]
) -> None:
    """Where one of two values would win without a word, the grid is refused."""
    with pytest.raises(UsageError, match="'lr' is given 2 times"):
        resolve(catalog, [f"{HERE}:Train", *words], grid)


def test_module_that_breaks_is_named_with_its_line(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error in the user's module is shown with its place, not as a missing module."""
    (tmp_path / "broken_here.py").write_text("import huldra\n1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    with pytest.raises(CommandError, match=r"ZeroDivisionError.*\n.*broken_here.py:2: 1 / 0"):
        targets.load("broken_here:X")
    sys.modules.pop("broken_here", None)
