"""Stores that are damaged or meant to do harm; a browser looks at the markup in test_browser."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.dashboard.conftest import Open, rows_of, select, table, texts
from tests.dashboard.store import StoreWriter
from tests.dashboard.test_pages import PAGES

TABS = (
    *("Config", "Relationships", "Metrics", "Log"),
    *("Files", "Attempts", "Environment", "Reproduce"),
)
DAMAGE = {
    "empty": b"",
    "cut": b'{"huldra": 1, "result": "succ',
    "binary": bytes(range(256)),
    "list": b"[1, 2]",
    "deep": b"[" * 100_000,
    "huge number": b'{"huldra": 1, "attempt": {"number": ' + b"9" * 5000 + b"}}",
    "other types": b'{"huldra": "x", "result": 7, "attempt": [], "config": 3, "dependencies": {}}',
    "surrogate": b'{"huldra": 1, "config": {"a": "\\ud800"}, "hostname": "\\ud800"}',
    "newer": b'{"huldra": 99, "result": "quantum", "attempt": {"status": "entangled"}}',
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_break_no_page(damage: str, writer: StoreWriter, open_page: Open) -> None:
    """With state, metadata and claims damaged, each page and each tab still draws."""
    good = writer.add("m/Good", {"a": 1})
    key = writer.add("m/Bad", {"a": {"$ref": good}}, status="failed")
    private = writer.directory(key) / ".huldra"
    for path in (private / "state.json", private / "metadata.json", private / "claims" / "1.end"):
        path.write_bytes(DAMAGE[damage])
    for page in PAGES:
        open_page(writer.root, page)
    for tab in TABS:
        open_page(writer.root, h=key[-32:], tab=tab)


def test_unreadable_artifact_is_a_row_that_says_so(writer: StoreWriter, open_page: Open) -> None:
    """It is in the list, and its detail names the problem."""
    key = writer.add("m/Bad", {"a": 1})
    (writer.directory(key) / ".huldra" / "state.json").write_bytes(b'{"huldra"')
    (row,) = rows_of(writer.root)
    assert row.problem
    assert len(table(open_page(writer.root, "experiments"), "status")) == 1
    assert "state" in texts(open_page(writer.root, h=key[-32:]))


def outside(tmp_path: Path) -> Path:
    """A file that no artifact may show."""
    path = tmp_path / "outside.txt"
    path.write_text("not for the dashboard")
    return path


def test_links_out_of_the_artifact_are_not_followed(
    tmp_path: Path, writer: StoreWriter, open_page: Open
) -> None:
    """A symbolic link to the outside is listed and not opened, as file, log or picture."""
    key = writer.add("m/Bad", {"a": 1})
    directory = writer.directory(key)
    secret = outside(tmp_path)
    for name in ("link.txt", "link.png", "metrics.json", ".huldra/git.patch"):
        (directory / name).symlink_to(secret)
    (directory / ".huldra" / "huldra.log").unlink()
    (directory / ".huldra" / "huldra.log").symlink_to(secret)
    for tab in TABS:
        app = open_page(writer.root, h=key[-32:], tab=tab)
        assert "not for the dashboard" not in texts(app)
    app = open_page(writer.root, h=key[-32:], tab="Files")
    for row in range(len(table(app, "file"))):
        select(app, "file", rows=[row])
        assert "not for the dashboard" not in texts(app)


def test_pipes_do_not_hang_a_page(writer: StoreWriter, open_page: Open) -> None:
    """A FIFO in place of a file is passed over."""
    key = writer.add("m/Bad", {"a": 1})
    directory = writer.directory(key)
    (directory / ".huldra" / "huldra.log").unlink()
    for name in ("pipe.txt", "metrics.json", "curve.csv", "picture.png", ".huldra/huldra.log"):
        os.mkfifo(directory / name)
    for tab in TABS:
        open_page(writer.root, h=key[-32:], tab=tab)


def test_large_files_are_shown_in_part(writer: StoreWriter, open_page: Open) -> None:
    """Of 20 MB of JSON on one line, only the beginning reaches the page."""
    key = writer.add("m/Big", {"a": 1}, files={"big.json": "[" + "1," * 10_000_000 + "1]"})
    app = open_page(writer.root, h=key[-32:], tab="Files")
    assert "The first " in texts(app)
    assert len(texts(app)) < 3_000_000


def test_large_configs_are_drawn(writer: StoreWriter, open_page: Open) -> None:
    """A config of 5,000 fields has a closed tree and a table of a bounded size."""
    key = writer.add("m/Big", {f"field_{i}": {"x": [i] * 10} for i in range(5000)})
    app = open_page(writer.root, h=key[-32:], tab="Config")
    assert len(table(app, "field")) <= 2000
    assert app.get("json")[0].proto.expanded is False


def test_names_that_look_like_markup_stay_text(writer: StoreWriter, open_page: Open) -> None:
    """Titles and labels hold the value escaped."""
    key = writer.add("m/**Bold**", {"a": 1})
    app = open_page(writer.root, h=key[-32:])
    assert app.title[0].value == r"\*\*Bold\*\*"


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_imported_from_the_store(
    page: str, writer: StoreWriter, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that an artifact names is not imported, even when it could be."""
    code = Path(writer.root).parent / "code"
    code.mkdir()
    (code / "trap_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(code))
    key = writer.add("trap_module/Trap", {"a": 1}, files={"metrics.json": json.dumps({"a": 1})})
    writer.add_run("Trap", {"a": key}, {key: []}, module="trap_module")
    open_page(writer.root, page)
    open_page(writer.root, h=key[-32:], tab="Reproduce")
