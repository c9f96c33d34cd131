"""Stored results: what `_create` returns comes back equal, or the attempt says why it cannot."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import math
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest

import huldra
from huldra.errors import HuldraComputeError, HuldraSerializationError
from huldra.results import formats, stored


class Shade(enum.Enum):
    DARK = "dark"


@dataclasses.dataclass
class Score:
    loss: float
    notes: list[str] = dataclasses.field(default_factory=list)


class Given(huldra.Huldra[Any]):
    """Returns what a module variable holds: a test's own value."""

    name: str = "a"

    def _create(self) -> Any:
        return RETURNED[self.name](self)


RETURNED: dict[str, Any] = {}


def kept(value: Any, tmp_path: Path) -> Any:
    """The value after a way through the disk."""
    stored.write(value, str(tmp_path), name="Test")
    return stored.read(str(tmp_path), name="Test")


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.dates()
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers() | st.booleans(), inner, max_size=4)
        | st.frozensets(st.integers() | st.text(), max_size=4)
    ),
    max_leaves=12,
)


def is_same(one: Any, other: Any) -> bool:
    """Equal in value and in type, all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, dict):
        return list(map(type, one)) == list(map(type, other)) and all(
            is_same(one[key], other[key]) for key in one
        )
    return bool(one == other)


@hypothesis.given(value=PLAIN)
@hypothesis.settings(max_examples=150)
def test_what_is_read_back_equals_what_was_returned(
    value: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any nest of plain values keeps its values and its types."""
    assert is_same(kept(value, tmp_path_factory.mktemp("stored")), value)


@pytest.mark.parametrize(
    "value",
    [
        Score(0.5, ["a"]),
        [Shade.DARK, {"when": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)}],
        {"nested": Score(1.0), "config": Given(name="other")},
        b"\x00" * 10_000,
        "ü" * 100_000,
        {"$stored": {"format": "npy", "path": "../../x"}},
        math.inf,
    ],
    ids=["dataclass", "enum", "config", "bytes", "text", "forged", "infinity"],
)
def test_values_of_many_types_come_back(value: Any, tmp_path: Path) -> None:
    """Dataclasses, enums, times, configs, long texts: whatever a config may hold."""
    assert kept(value, tmp_path) == value


def test_arrays_stand_in_files_beside_the_record(tmp_path: Path) -> None:
    """An array is a .npy file; the record stays readable."""
    np = pytest.importorskip("numpy")
    value = {"weights": np.arange(6.0).reshape(2, 3), "step": 7, "pair": (np.zeros(0), np.array(3))}
    found = kept(value, tmp_path)
    assert found["step"] == 7
    assert np.array_equal(found["weights"], value["weights"])
    assert found["weights"].dtype == value["weights"].dtype
    assert found["pair"][1].shape == ()
    record = json.loads((tmp_path / "result.json").read_text())
    assert record["value"]["weights"] == {"$stored": {"format": "npy", "path": "result/0.npy"}}


def test_frames_and_series_come_back(tmp_path: Path) -> None:
    """Pandas tables go through Parquet with their index and their types."""
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=[10, 20])
    series = pd.Series([1.5, 2.5], name="loss")
    found = kept({"frame": frame, "series": series, "bare": pd.Series([1])}, tmp_path)
    pd.testing.assert_frame_equal(found["frame"], frame)
    pd.testing.assert_series_equal(found["series"], series)
    assert found["bare"].name is None


def test_a_frame_that_parquet_changes_is_refused(tmp_path: Path) -> None:
    """What would come back as something else is an error before anything relies on it."""
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    with pytest.raises(HuldraSerializationError, match=r"returned\['table'\].* as frame"):
        kept({"table": pd.DataFrame({"a": [1, "x"]})}, tmp_path)


def test_arrow_tables_come_back(tmp_path: Path) -> None:
    """Pyarrow tables go through Parquet."""
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": [1, 2, None]})
    assert kept([table], tmp_path)[0].equals(table)


def test_polars_frames_come_back(tmp_path: Path) -> None:
    """Polars frames go through Parquet."""
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"a": [1, 2, None]})
    assert kept([frame], tmp_path)[0].equals(frame)


def test_tensors_come_back(tmp_path: Path) -> None:
    """Torch tensors and dicts of them go through safetensors."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    state = {"layer.weight": torch.ones(2, 2), "layer.bias": torch.zeros(2)}
    found = kept({"state": state, "one": torch.arange(3)}, tmp_path)
    assert torch.equal(found["state"]["layer.weight"], state["layer.weight"])
    assert torch.equal(found["one"], torch.arange(3))


def test_a_class_without_load_has_its_result_stored(huldra_root: Path) -> None:
    """The first call returns what `_create` does, each later one an equal value from the disk."""
    RETURNED["a"] = lambda _: {"loss": 0.5, "curve": [1.0, 0.5]}
    assert Given().load_or_create() == {"loss": 0.5, "curve": [1.0, 0.5]}
    RETURNED["a"] = lambda _: pytest.fail("computed again")
    assert Given().load_or_create() == {"loss": 0.5, "curve": [1.0, 0.5]}
    assert Given().load() == Given().load_or_create(executor="inline").result()


def test_a_path_inside_the_artifact_moves_with_it(huldra_root: Path, tmp_path: Path) -> None:
    """A returned path of the artifact's own is relative to it on disk."""

    def write(obj: Given) -> Path:
        path = obj.huldra_dir / "weights.bin"
        path.write_bytes(b"w")
        return path

    RETURNED["a"] = write
    Given().load_or_create()
    moved = tmp_path / "moved"
    huldra_root.rename(moved)
    with huldra.huldra_root(moved):
        assert Given().load() == Given().huldra_dir / "weights.bin"
        assert Given().load().read_bytes() == b"w"


def test_what_cannot_be_stored_fails_the_attempt_and_names_its_place(huldra_root: Path) -> None:
    """The error names the place in the value, its type and the ways out; nothing is complete."""
    RETURNED["a"] = lambda _: {"models": [1, {"best": object()}]}
    with pytest.raises(HuldraComputeError, match=r"returned\['models'\]\[1\]\['best'\]") as caught:
        Given().load_or_create()
    assert isinstance(caught.value.original_error, HuldraSerializationError)
    assert 'format="pickle"' in str(caught.value)
    assert not Given().exists()


class Pickled(huldra.Huldra[Any], format="pickle"):
    def _create(self) -> Any:
        return {1: {2, 3}, "scores": Score(0.1)}


def test_a_class_may_ask_for_pickle(huldra_root: Path) -> None:
    """The whole value is one file then."""
    made = Pickled().load_or_create()
    assert Pickled().load() == made
    assert (Pickled().huldra_dir / "result" / "0.pkl").exists()


def test_an_unknown_format_lists_those_that_there_are() -> None:
    """The error names what can be given."""
    with pytest.raises(HuldraSerializationError, match=r"there is no format 'x' here .*npy"):
        formats.named("x")


class Own:
    """A type of the user's own, and its format."""

    def __init__(self, text: str) -> None:
        self.text = text


class OwnFormat:
    name, suffix = "own", ".own"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, Own)

    def write(self, value: Own, path: str) -> None:
        Path(path).write_text(value.text)

    def read(self, path: str) -> Own:
        return Own(Path(path).read_text())


def test_another_distribution_adds_a_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A format from the entry point group stores values of its type."""
    monkeypatch.setattr(formats, "_others", lambda: {"own": OwnFormat()})
    assert kept([Own("hello")], tmp_path)[0].text == "hello"


def test_a_record_that_leads_out_of_the_artifact_is_refused(tmp_path: Path) -> None:
    """A forged path reads nothing elsewhere."""
    record = {"huldra": 1, "value": {"$stored": {"format": "bytes", "path": "../secret"}}}
    (tmp_path / "result.json").write_text(json.dumps(record))
    with pytest.raises(HuldraSerializationError, match="leads out"):
        stored.read(str(tmp_path), name="Test")


def test_an_artifact_of_a_class_that_lost_its_load_says_so(huldra_root: Path) -> None:
    """Without a stored result the error names the file that was looked for."""
    RETURNED["a"] = lambda _: 1
    Given().load_or_create()
    (Given().huldra_dir / "result.json").unlink()
    with pytest.raises(HuldraSerializationError, match=r"result\.json"):
        Given().load()
