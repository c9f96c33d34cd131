"""How single values are stored in files of their own: arrays, tables, tensors, long texts.

A format claims values by their exact type, so that a subclass never comes back as its base. The
libraries are never imported to find out: a value of theirs exists only once they are loaded.
Another distribution adds a format by an entry point of the group `huldra.formats`.
"""

from __future__ import annotations

import importlib
import pickle
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any, Protocol

from huldra.errors import HuldraSerializationError

ENTRY_POINTS = "huldra.formats"
_LONG_BYTES = 4096
_LONG_TEXT = 65536


class Format(Protocol):
    """One kind of file. `name` stands in the record; `suffix` ends the file's name (`.npy`)."""

    name: str
    suffix: str

    def accepts(self, value: Any) -> bool:
        """Return True if this format stores `value`; called for values of any type."""
        ...

    def write(self, value: Any, path: str) -> None:
        """Write `value` to the new file `path`; raise `ValueError` if it would not come back."""
        ...

    def read(self, path: str) -> Any:
        """Return a value equal to the one that `write` was given."""
        ...


def _is_exactly(value: Any, module: str, *names: str) -> bool:
    """Return True if the type of `value` is one of these of a module that is loaded."""
    found = sys.modules.get(module)
    return found is not None and any(type(value) is getattr(found, name, None) for name in names)


class _Npy:
    """numpy arrays, without pickle."""

    name, suffix = "npy", ".npy"

    def accepts(self, value: Any) -> bool:
        return _is_exactly(value, "numpy", "ndarray") and not value.dtype.hasobject

    def write(self, value: Any, path: str) -> None:
        importlib.import_module("numpy").save(path, value, allow_pickle=False)

    def read(self, path: str) -> Any:
        return importlib.import_module("numpy").load(path, allow_pickle=False)


class _Frame:
    """pandas frames, as Parquet."""

    name, suffix = "frame", ".parquet"

    def accepts(self, value: Any) -> bool:
        return _is_exactly(value, "pandas", "DataFrame")

    def write(self, value: Any, path: str) -> None:
        value.to_parquet(path)
        testing = importlib.import_module("pandas.testing")
        try:
            testing.assert_frame_equal(value, self.read(path), check_exact=True)
        except AssertionError as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"Parquet does not give back all of it ({reason})") from error

    def read(self, path: str) -> Any:
        return importlib.import_module("pandas").read_parquet(path)


class _Series:
    """pandas series, as a frame of one column."""

    name, suffix = "series", ".parquet"
    _unnamed = "__huldra_unnamed__"

    def accepts(self, value: Any) -> bool:
        return _is_exactly(value, "pandas", "Series")

    def write(self, value: Any, path: str) -> None:
        frame = value.to_frame(self._unnamed if value.name is None else value.name)
        _OURS["frame"].write(frame, path)

    def read(self, path: str) -> Any:
        series = _OURS["frame"].read(path).iloc[:, 0]
        return series.rename(None) if series.name == self._unnamed else series


class _Polars:
    """polars frames, as Parquet."""

    name, suffix = "polars", ".parquet"

    def accepts(self, value: Any) -> bool:
        return _is_exactly(value, "polars", "DataFrame")

    def write(self, value: Any, path: str) -> None:
        value.write_parquet(path)
        if not value.equals(self.read(path), null_equal=True):
            raise ValueError("Parquet does not give back all of it")

    def read(self, path: str) -> Any:
        # Not memory-mapped: the file may be removed while the frame is in use.
        return importlib.import_module("polars").read_parquet(path, memory_map=False)


class _Arrow:
    """pyarrow tables, as Parquet."""

    name, suffix = "arrow", ".parquet"

    def accepts(self, value: Any) -> bool:
        return _is_exactly(value, "pyarrow", "Table")

    def write(self, value: Any, path: str) -> None:
        importlib.import_module("pyarrow.parquet").write_table(value, path)
        if not value.equals(self.read(path)):
            raise ValueError("Parquet does not give back all of it")

    def read(self, path: str) -> Any:
        return importlib.import_module("pyarrow.parquet").read_table(path)


class _Safetensors:
    """torch tensors, and dicts of text → tensor; they come back on the CPU, without gradients."""

    name, suffix = "safetensors", ".safetensors"
    _one = "tensor"

    def accepts(self, value: Any) -> bool:
        if _is_exactly(value, "torch", "Tensor"):
            return True
        return (
            type(value) is dict
            and bool(value)
            and all(
                type(key) is str and _is_exactly(item, "torch", "Tensor")
                for key, item in value.items()
            )
        )

    def write(self, value: Any, path: str) -> None:
        library = self._library()
        tensors = value if isinstance(value, dict) else {self._one: value}
        plain = {key: item.detach().cpu().contiguous() for key, item in tensors.items()}
        kind = "dict" if isinstance(value, dict) else "tensor"
        library.save_file(plain, path, metadata={"huldra": kind})

    def read(self, path: str) -> Any:
        library = self._library()
        with importlib.import_module("safetensors").safe_open(path, "pt") as file:
            kind = (file.metadata() or {}).get("huldra")
        tensors = library.load_file(path)
        return tensors[self._one] if kind == "tensor" else tensors

    def _library(self) -> Any:
        try:
            return importlib.import_module("safetensors.torch")
        except ImportError as error:
            raise HuldraSerializationError(
                "torch tensors are stored as safetensors, which is not installed:"
                " pip install safetensors"
            ) from error


class _Bytes:
    """Long bytes, as they are."""

    name, suffix = "bytes", ".bin"

    def accepts(self, value: Any) -> bool:
        return type(value) is bytes and len(value) >= _LONG_BYTES

    def write(self, value: Any, path: str) -> None:
        with open(path, "wb") as file:
            file.write(value)

    def read(self, path: str) -> Any:
        with open(path, "rb") as file:
            return file.read()


class _Text:
    """Long texts, in UTF-8."""

    name, suffix = "text", ".txt"

    def accepts(self, value: Any) -> bool:
        return type(value) is str and len(value) >= _LONG_TEXT and _is_utf8(value)

    def write(self, value: Any, path: str) -> None:
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(value)

    def read(self, path: str) -> Any:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Pickle:
    """Any value, for classes that ask for it by `format="pickle"`; never chosen by type."""

    name, suffix = "pickle", ".pkl"

    def accepts(self, value: Any) -> bool:  # noqa: ARG002  the protocol's signature
        return False

    def write(self, value: Any, path: str) -> None:
        with open(path, "wb") as file:
            pickle.dump(value, file)

    def read(self, path: str) -> Any:
        with open(path, "rb") as file:
            return pickle.load(file)  # noqa: S301  the user's own result, by the user's choice


_OURS: Mapping[str, Format] = {
    one.name: one
    for one in (
        _Npy(),
        _Frame(),
        _Series(),
        _Polars(),
        _Arrow(),
        _Safetensors(),
        _Bytes(),
        _Text(),
        _Pickle(),
    )
}


@lru_cache(maxsize=1)
def _others() -> Mapping[str, Format]:
    """The formats of other distributions."""
    found: dict[str, Format] = {}
    for entry in entry_points(group=ENTRY_POINTS):
        loaded = entry.load()
        one: Format = loaded() if isinstance(loaded, type) else loaded
        found[one.name] = one
    return found


def format_for(value: Any) -> Format | None:
    """Return the format that stores this value in a file of its own, None where none does."""
    for one in _OURS.values():
        if one.accepts(value):
            return one
    return next((one for one in _others().values() if one.accepts(value)), None)


def named(name: str) -> Format:
    """Return the format of this name; raise `HuldraSerializationError` where there is none."""
    found = _OURS.get(name) or _others().get(name)
    if found is None:
        known = ", ".join(sorted({*_OURS, *_others()}))
        raise HuldraSerializationError(
            f"there is no format {name!r} here (there are {known}); install what adds it"
        )
    return found
