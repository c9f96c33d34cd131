"""Tab Files: the artifact's own files, pictures first, and a look into one of them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pandas as pd
import streamlit as st

from huldra.catalog import FileEntry, Row, Snapshot, presentation
from huldra_dashboard import badges, cell_values, source, tables
from huldra_dashboard.artifact import pictures
from huldra_dashboard.markup import escape, plain, terminal_text
from huldra_dashboard.safe_files import OutsideError, read_inside

_PREVIEW_BYTES = 1 << 20
_DOWNLOAD_BYTES = 200_000_000
_PICTURE_BYTES = 10_000_000
_MOST_PICTURES = 12
_MOST_LINES = 1000
_MOST_COLUMNS = 200  # a megabyte of commas is half a million columns
_OPEN_JSON_BYTES = 8_000
# SVG is not among them: it is markup, and is shown as its source.
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp")


def show(row: Row, snapshot: Snapshot) -> None:  # noqa: ARG001  all tabs are called alike
    """Draw the tab."""
    files = source.catalog().files(row)
    st.code(row.directory, language=None, wrap_lines=True)
    if not files:
        badges.empty(
            "No files yet",
            "What `_create` writes below `self.huldra_dir` is listed here.",
        )
        return
    _gallery(row, files)
    chosen = _list(files)
    if chosen is not None:
        _preview(row, chosen)


def _list(files: tuple[FileEntry, ...]) -> FileEntry | None:
    """The table of files; returns the one that is selected."""
    data = pd.DataFrame(
        {
            "file": [plain(entry.path) for entry in files],
            "size": [presentation.size(entry.size_bytes) for entry in files],
            "modified": [entry.modified_at for entry in files],
            "kind": [entry.kind for entry in files],
        }
    )
    selection = st.dataframe(
        data,
        key=tables.table_key("files", [entry.path for entry in files]),
        on_select="rerun",
        selection_mode="single-row",
        selection_default={"selection": {"rows": [_first_readable(files)]}},
        hide_index=True,
        column_config={
            "file": st.column_config.TextColumn("File", width="large"),
            "size": st.column_config.TextColumn("Size"),
            "modified": st.column_config.DatetimeColumn("Modified", format="distance"),
            "kind": st.column_config.TextColumn("Kind"),
        },
        height="content" if len(files) < 12 else 380,
    )
    rows = selection["selection"]["rows"]
    return files[rows[0]] if rows and rows[0] < len(files) else None


def _first_readable(files: tuple[FileEntry, ...]) -> int:
    """The file to show at first: the first one that is text, by its name."""
    for index, entry in enumerate(files):
        if entry.kind == "file" and _viewer(entry.path) is not _binary:
            return index
    return 0


def _gallery(row: Row, files: tuple[FileEntry, ...]) -> None:
    """The pictures, side by side."""
    pictures = [
        entry
        for entry in files
        if entry.path.lower().endswith(_PICTURES)
        and entry.kind == "file"
        and entry.size_bytes <= _PICTURE_BYTES
    ][:_MOST_PICTURES]
    if not pictures:
        return
    columns = st.columns(min(len(pictures), 4))
    for index, entry in enumerate(pictures):
        with columns[index % len(columns)]:
            _picture(row, entry)


def _picture(row: Row, entry: FileEntry) -> None:
    """One picture by its bytes; a broken one as a note."""
    try:
        content = read_inside(row.directory, entry.path, _PICTURE_BYTES)
        st.image(pictures.decode(content), caption=escape(entry.path, 80))
    except (OutsideError, OSError, pictures.NoPictureError) as error:
        st.caption(f"{escape(entry.path, 80)}: not a picture ({escape(error)})")


def _preview(row: Row, entry: FileEntry) -> None:
    """The beginning of a file, drawn by its kind, and a download of all of it."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{escape(entry.path)}**", width="content")
        st.download_button(
            "Download",
            lambda: read_inside(row.directory, entry.path, _DOWNLOAD_BYTES),
            file_name=plain(entry.path.rpartition("/")[2]),
            mime="application/octet-stream",
            icon=":material/download:",
            on_click="ignore",
            disabled=entry.kind != "file" or entry.size_bytes > _DOWNLOAD_BYTES,
        )
    try:
        content = read_inside(row.directory, entry.path, _PREVIEW_BYTES)
    except (OutsideError, OSError) as error:
        st.warning(escape(error, 400))
        return
    if entry.size_bytes > len(content):
        st.caption(
            f"The first {presentation.size(len(content))} of {presentation.size(entry.size_bytes)}."
        )
    _viewer(entry.path)(content)


def _viewer(path: str) -> Callable[[bytes], None]:
    """How to draw a file of this name."""
    ending = path.rpartition(".")[2].lower()
    return _VIEWERS.get(ending, _text if ending in _TEXT else _binary)


def _text(content: bytes) -> None:
    """Plain text; colours would cost the browser more than they tell."""
    lines = terminal_text(content.decode("utf-8", errors="replace")).split("\n")
    st.code(
        "\n".join(lines[:_MOST_LINES]), language=None, height=420 if len(lines) > 20 else "content"
    )
    if len(lines) > _MOST_LINES:
        st.caption(f"The first {_MOST_LINES:,} lines.")


def _json(content: bytes) -> None:
    """A tree; as text where it is no JSON (or has NaN, which a browser refuses)."""
    try:
        value = json.loads(content, parse_constant=str)
    except (ValueError, RecursionError):
        _text(content)
        return
    if isinstance(value, dict | list):
        st.json(value, expanded=len(content) <= _OPEN_JSON_BYTES)
    else:
        _text(content)


def _csv(content: bytes) -> None:
    """A table of the first lines."""
    if max((line.count(b",") for line in content.splitlines()), default=0) >= _MOST_COLUMNS:
        _text(content)
        return
    try:
        data = pd.read_csv(io.BytesIO(content), nrows=_MOST_LINES)
        st.dataframe(data.astype(object).map(cell_values.cell_or_number))
    except (ValueError, UnicodeDecodeError, pd.errors.ParserError):
        _text(content)


def _json_lines(content: bytes) -> None:
    """A table with one line for each record."""
    records = []
    try:
        for line in content.decode("utf-8", errors="replace").splitlines()[:_MOST_LINES]:
            record = json.loads(line, parse_constant=str)
            records.append(record if isinstance(record, dict) else {"value": record})
    except (ValueError, RecursionError):  # a line that is being written, or no JSON at all
        if not records:
            _text(content)
            return
    names = list(dict.fromkeys(name for record in records for name in record))
    shown = names[:_MOST_COLUMNS]
    st.dataframe(
        pd.DataFrame({name: cell_values.column([r.get(name) for r in records]) for name in shown})
    )
    if len(names) > len(shown):
        st.caption(f"The first {len(shown):,} of {len(names):,} columns.")


def _binary(content: bytes) -> None:
    """The first bytes in hexadecimal."""
    lines = []
    for offset in range(0, min(len(content), 512), 16):
        part = content[offset : offset + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{offset:08x}  {part.hex(' '):<47}  {text}")
    st.code("\n".join(lines) or "(empty)", language=None)


_TEXT = (
    *("txt", "md", "rst", "tex", "log", "tsv", "toml", "yaml", "yml", "cfg", "ini"),
    *("py", "sh", "sql", "html", "htm", "svg", "xml", "patch", "diff"),
)
_VIEWERS: dict[str, Callable[[bytes], None]] = {
    "json": _json,
    "csv": _csv,
    "jsonl": _json_lines,
    "ndjson": _json_lines,
}
