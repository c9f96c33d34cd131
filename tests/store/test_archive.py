"""Archives of artifacts: what an import refuses, before anything is written."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from huldra.errors import HuldraStoreError
from huldra.store import archive
from huldra.store.archive import take_in, write
from huldra.testing.pipelines import Step

DIGEST = "0" * 32
PLACE = f"data/m/C/{DIGEST}"
SUCCESS = json.dumps({"huldra": 1, "claim": 1, "hash": DIGEST}).encode()


def tar_of(
    path: Path,
    members: list[tuple[tarfile.TarInfo, bytes]],
    listed: Any = None,
    folders: Any = (),
) -> Path:
    """An archive of these members, with a manifest of them unless another one is `listed`."""
    if listed is None:
        listed = [
            {"path": info.name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for info, data in members
        ]
    manifest = json.dumps({"huldra_archive": 1, "files": listed, "folders": folders}).encode()
    with tarfile.open(path, "w") as tar:
        for info, data in [member("manifest.json", manifest), *members]:
            tar.addfile(info, io.BytesIO(data))
    return path


def member(name: str, data: bytes = b"x", **other: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in other.items():
        setattr(info, key, value)
    return info, data


WHOLE = member(f"{PLACE}/.huldra/SUCCESS.json", SUCCESS)


@pytest.mark.parametrize(
    "bad",
    [
        member("../outside"),
        member("/etc/outside"),
        member(f"{PLACE}/../../../../../outside"),
        member(f"{PLACE}/./x"),
        member(f"{PLACE}//x"),
        member("raw/x"),
        member(f"{PLACE}/.huldra/claims/1"),
        member(f"{PLACE}/link", b"", type=tarfile.SYMTYPE, linkname="/etc"),
        member(f"{PLACE}/hard", b"", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
        member(f"{PLACE}/device", b"", type=tarfile.CHRTYPE),
        member(f"{PLACE}/fifo", b"", type=tarfile.FIFOTYPE),
        member(f"{PLACE}/folder", b"", type=tarfile.DIRTYPE),
    ],
    ids=lambda one: one[0].name,
)
def test_what_leads_outside_or_is_no_file_is_refused(tmp_path: Path, bad: Any) -> None:
    """Path traversal, links, devices and claims are refused, and nothing is written."""
    root = tmp_path / "a" / "store"
    root.mkdir(parents=True)
    found = tar_of(tmp_path / "bad.tar", [WHOLE, bad])
    with pytest.raises(HuldraStoreError, match="nothing was written"):
        take_in(str(root), str(found))
    assert sorted(os.listdir(tmp_path)) == ["a", "bad.tar"]
    assert list(root.rglob("*")) == []


@pytest.mark.parametrize(
    ("members", "listed"),
    [
        ([WHOLE], [{"path": WHOLE[0].name, "size": len(SUCCESS), "sha256": "0" * 64}]),
        ([WHOLE, member(f"{PLACE}/more")], []),
        ([WHOLE, WHOLE], None),
        ([member(f"{PLACE}/result")], None),
        ([], [{"path": WHOLE[0].name, "size": 1, "sha256": "0" * 64}]),
        ([WHOLE], "nonsense"),
    ],
    ids=["digest", "not listed", "twice", "no success", "missing", "no list"],
)
def test_what_the_manifest_does_not_say_is_refused(
    tmp_path: Path, members: Any, listed: Any
) -> None:
    """A file that is damaged, added, missing or there twice costs the whole import."""
    root = tmp_path / "store"
    root.mkdir()
    found = tar_of(tmp_path / "bad.tar", members, listed)
    with pytest.raises(HuldraStoreError, match="nothing was written"):
        take_in(str(root), str(found))
    assert list(root.rglob("*")) == []


def test_a_link_in_the_store_is_not_followed(tmp_path: Path) -> None:
    """A class's folder that is a link to elsewhere takes nothing in."""
    root, elsewhere = tmp_path / "store", tmp_path / "elsewhere"
    (root / "data").mkdir(parents=True)
    (elsewhere / "C").mkdir(parents=True)
    (root / "data" / "m").symlink_to(elsewhere)
    with pytest.raises(HuldraStoreError, match="leads elsewhere"):
        take_in(str(root), str(tar_of(tmp_path / "a.tar", [WHOLE])))
    assert list((elsewhere / "C").iterdir()) == []


def test_cut_off_archive(huldra_store: Path, tmp_path: Path) -> None:
    """An archive that lost its end is refused."""
    step = Step(name="a")
    step.load_or_create()
    out = tmp_path / "out.tar"
    write(str(huldra_store), [os.path.relpath(step.huldra_dir, huldra_store)], str(out))
    data = out.read_bytes()
    for length in (0, 600, 3000):
        out.write_bytes(data[:length])
        with pytest.raises(HuldraStoreError):
            take_in(str(tmp_path / "other"), str(out))
    assert not (tmp_path / "other").exists()


def test_an_artifact_with_a_link_is_not_exported(huldra_store: Path, tmp_path: Path) -> None:
    """What an import would refuse is refused on the way out."""
    step = Step(name="a")
    step.load_or_create()
    (step.huldra_dir / "link").symlink_to("/etc")
    out = tmp_path / "out.tar"
    with pytest.raises(HuldraStoreError, match="neither a file nor a folder"):
        write(str(huldra_store), [os.path.relpath(step.huldra_dir, huldra_store)], str(out))
    assert sorted(tmp_path.glob("*.tar")) == []


def test_an_unfinished_artifact_in_the_store_is_left_alone(
    huldra_store: Path, tmp_path: Path
) -> None:
    """An import does not touch what is there and not complete."""
    directory = huldra_store / PLACE
    directory.mkdir(parents=True)
    (directory / "mine").touch()
    found = tar_of(tmp_path / "a.tar", [WHOLE])
    with pytest.raises(HuldraStoreError, match="there and not complete"):
        take_in(str(huldra_store), str(found))
    assert os.listdir(directory) == ["mine"]
    assert archive.MANIFEST == "manifest.json"


def test_empty_folders_come_along(huldra_store: Path, tmp_path: Path) -> None:
    """An artifact has the same folders after an import, also those that hold nothing."""
    step = Step(name="a")
    step.load_or_create()
    (step.huldra_dir / "parts" / "none").mkdir(parents=True)
    path, out = os.path.relpath(step.huldra_dir, huldra_store), tmp_path / "out.tar"
    write(str(huldra_store), [path], str(out))
    take_in(str(tmp_path / "other"), str(out))
    assert list((tmp_path / "other" / path / "parts").iterdir()) == [
        tmp_path / "other" / path / "parts" / "none"
    ]


@pytest.mark.parametrize(
    "folder", ["../out", f"{PLACE}/../x", f"{PLACE}/.huldra/claims", WHOLE[0].name + "/x", 3]
)
def test_a_folder_that_leads_outside_is_refused(tmp_path: Path, folder: Any) -> None:
    """Folders are refused as files are."""
    root = tmp_path / "store"
    root.mkdir()
    with pytest.raises(HuldraStoreError, match="nothing was written"):
        take_in(str(root), str(tar_of(tmp_path / "a.tar", [WHOLE], folders=[folder])))
    assert list(root.rglob("*")) == []


def test_a_file_that_changes_during_the_export_is_refused(
    huldra_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written to a file of the same size after it was hashed makes no bad archive."""
    step = Step(name="a")
    step.load_or_create()
    (step.huldra_dir / "data").write_bytes(b"old")

    def change(*_: object) -> None:
        (step.huldra_dir / "data").write_bytes(b"new")

    monkeypatch.setattr(archive, "_write_manifest", change)
    out = tmp_path / "out.tar"
    with pytest.raises(HuldraStoreError, match="changed while it was exported"):
        write(str(huldra_store), [os.path.relpath(step.huldra_dir, huldra_store)], str(out))
    assert not out.exists()
