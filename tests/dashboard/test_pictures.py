"""Pictures and tables from files that anybody may have written."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("PIL")

from PIL import Image

from huldra_dashboard.artifact import pictures

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"


def encoded(name: str, size: tuple[int, int] = (20, 10)) -> bytes:
    """A black picture."""
    out = io.BytesIO()
    Image.new("L" if name == "GIF" else "RGB", size).save(out, format=name)
    return out.getvalue()


@pytest.mark.parametrize("name", pictures.FORMATS)
def test_the_formats_of_the_web_are_shown(name: str) -> None:
    """By content; the file's name does not matter."""
    assert pictures.decode(encoded(name)).size == (20, 10)


def test_a_large_picture_is_made_smaller() -> None:
    """The browser gets no more than a screen of it."""
    assert pictures.decode(encoded("PNG", (3200, 800))).size == (1600, 400)


@pytest.mark.parametrize("name", ["TIFF", "PPM", "ICO", "PDF", "EPS"])
def test_no_other_format_is_opened(name: str) -> None:
    """Pillow knows many; each is one more decoder for a stranger's bytes."""
    with pytest.raises(pictures.NoPictureError, match="not a PNG"):
        pictures.decode(encoded(name))


def test_postscript_starts_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow gives it to Ghostscript, which runs what stands in it."""
    ran = tmp_path / "ran"
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {ran}\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(pictures.NoPictureError):
        pictures.decode(EPS)
    assert not ran.exists()


@pytest.mark.parametrize("cut", [0, 1, 12, 20])
@pytest.mark.parametrize("name", pictures.FORMATS)
def test_a_broken_picture_is_one_error(name: str, cut: int) -> None:
    """Whatever a decoder raises."""
    with pytest.raises(pictures.NoPictureError, match=r"\w"):
        pictures.decode(encoded(name)[:cut])


MEASURE = """
import io, resource, sys
from PIL import Image
from huldra_dashboard.artifact import files_tab, pictures
import pandas, streamlit
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
def warm(kind): return {"csv": files_tab._csv, "jsonl": files_tab._json_lines}.get(kind)
kind, path = sys.argv[1:]
content = open(path, "rb").read()
show = warm(kind)
if show is not None:
    show(b'{"a": 1}')
before = peak()
try:
    show(content) if show is not None else pictures.decode(content)
except pictures.NoPictureError:
    print("refused")
print(peak() - before)
"""


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "csv", "jsonl"])
def test_a_small_file_takes_little_memory(tmp_path: Path, kind: str) -> None:
    """A megabyte that unpacks to gigabytes: pixels, columns, records times columns."""
    path = tmp_path / "file"
    if kind == "csv":
        path.write_bytes(b"\n\n" + b"," * 1_000_000 + b"\n1\n")
    elif kind == "jsonl":
        first = "{" + ",".join(f'"k{i}":1' for i in range(50_000)) + "}\n"
        path.write_text(first + "{}\n" * 999)
    else:
        path.write_bytes(encoded(kind, (6000, 6000)))
    assert path.stat().st_size < 1_100_000
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, kind, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    words = done.stdout.split()
    assert int(words[-1]) < 100, "MB more than before"
    assert (words[0] == "refused") is (kind in pictures.FORMATS)
