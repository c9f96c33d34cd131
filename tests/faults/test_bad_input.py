"""What users and machines do wrong: an error says what, where and what to do; nothing is stuck."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import huldra
from tests.support import children
from tests.support.odd import Note, lines


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    return str(tmp_path / "ledger")


def test_relative_root_stays_where_it_was_when_the_process_moves(tmp_path: Path) -> None:
    """The root is fixed when it is set, so `os.chdir` does not move the store."""
    code = f"""
        import os
        from tests.support.odd import Note
        os.chdir({str(tmp_path)!r})
        note = Note(name="a")
        note.load_or_create()
        first = note.huldra_dir
        os.mkdir("elsewhere")
        os.chdir("elsewhere")
        assert note.exists()
        assert Note(name="a").huldra_dir == first
        print(first.is_relative_to({str(tmp_path)!r}))
    """
    done = children.run(code, "store")
    assert done.stdout == "True\n", done.stderr


def test_two_roots_are_two_stores(tmp_path: Path, ledger: str) -> None:
    """An artifact of one root is not there in another, and is when the root comes back."""
    with huldra.huldra_root(tmp_path / "one"):
        Note(name="a", ledger=ledger).load_or_create()
        with huldra.huldra_root(tmp_path / "two"):
            assert not Note(name="a").exists()
            Note(name="a", ledger=ledger).load_or_create()
        assert Note(name="a").exists()
    assert len(lines(ledger, "begin")) == 2


def test_path_that_is_too_long_is_told(tmp_path: Path) -> None:
    """A root so deep that the system refuses the path is an error with advice, and no hang."""
    deep = tmp_path.joinpath(*["d" * 200] * 20)
    with (
        huldra.huldra_root(deep),
        pytest.raises(huldra.HuldraStoreError, match="shorter root"),
    ):
        Note(name="a").load_or_create()


def test_class_with_a_name_that_no_folder_can_have_is_told(tmp_path: Path) -> None:
    """A class name longer than a file name may be is an error that says so."""
    name = "A" * 300
    (tmp_path / "long_names.py").write_text(
        "import huldra\n"
        f"class {name}(huldra.Huldra[int]):\n"
        "    def _create(self): return 1\n"
        "    def _load(self): return 1\n"
    )
    code = f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        import huldra
        try:
            import long_names
            long_names.{name}().load_or_create()
        except huldra.HuldraError as error:
            print(type(error).__name__)
    """
    done = children.run(code, tmp_path / "store")
    assert done.stdout.endswith("Error\n"), done.stderr


@pytest.mark.parametrize(
    "text",
    ["\udc80", "a\x00b", "ø/\n", "\u202e", "💥" * 50],
    ids=["half", "0", "line", "attempt", "long"],
)
def test_odd_texts_are_values_like_any_other(huldra_root: Path, text: str) -> None:
    """Lone surrogates, zero bytes and line ends in a field are hashed, written and read."""
    # In a child, so that no test runner has to print what it logs.
    code = f"""
        import huldra
        from tests.faults.samples import Text
        text = {text!a}
        note = Text(text=text)
        assert note.load_or_create() == text
        assert Text(text=text).exists()
        assert Text.from_dict(note.to_dict()) == note
        assert huldra.StateManager.read(note.huldra_dir).result == "success"
        print("done")
    """
    done = children.run(code, huldra_root)
    assert done.stdout == "done\n", done.stderr


@pytest.mark.parametrize("text", ["\udc80", "a\x00b", ""], ids=["half", "0", "mute"])
def test_error_with_an_odd_text_or_none_is_recorded(huldra_root: Path, text: str) -> None:
    """An exception whose text no file takes as it is, or that raises when asked, is a failure."""
    code = f"""
        import huldra
        from tests.faults.samples import Raising
        note = Raising(text={text!a})
        try:
            note.load_or_create()
        except huldra.HuldraComputeError as error:
            assert huldra.StateManager.read(note.huldra_dir).result == "failed"
            print(str(error).isprintable() or "odd")
    """
    done = children.run(code, huldra_root)
    assert done.stdout in ("True\n", "odd\n"), done.stderr


AS_NOBODY = """
    import os, sys
    import huldra
    from tests.support.odd import Note
    warm = huldra.huldra_root({warm!r})
    with warm:
        Note(name="warm").load_or_create()
        try:
            Note(name="warm2", needs=(1,)).load_or_create()
        except Exception:
            pass
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    try:
        print(Note(name="a", ledger={ledger!r}).load_or_create())
    except huldra.HuldraStoreError as error:
        print("told", {root!r} in str(error), "permission" in str(error).lower())
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("mode", [0o000, 0o500, 0o444])
@pytest.mark.parametrize("which", ["root", "artifact", "claims", "success"])
def test_missing_permissions_are_told(
    huldra_root: Path, tmp_path: Path, which: str, mode: int
) -> None:
    """Whoever may not read or write where it matters gets an error with the path, or a hit."""
    note = Note(name="a")
    note.load_or_create()
    private = note.huldra_dir / ".huldra"
    places = {
        "root": huldra_root,
        "artifact": note.huldra_dir,
        "claims": private / "claims",
        "success": private / "SUCCESS.json",
    }
    if which == "claims":
        (private / "SUCCESS.json").unlink()
    for folder in [tmp_path, *tmp_path.parents]:
        if folder == Path("/tmp"):
            break
        folder.chmod(0o755)
    places[which].chmod(mode)
    try:
        done = children.run(
            AS_NOBODY.format(ledger="", root=str(huldra_root), warm=str(tmp_path / "warm")),
            huldra_root,
        )
    finally:
        places[which].chmod(0o755)
    assert done.stdout in ("a\n", "told True True\n"), done.stderr + done.stdout
