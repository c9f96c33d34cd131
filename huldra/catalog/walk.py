"""Where the artifacts of a store are: a walk of known depth that opens no artifact."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from huldra.store.layout import DATA, GIT

_DIGEST = re.compile(r"[0-9a-f]{32}")
is_digest = _DIGEST.fullmatch


class Place(NamedTuple):
    """Names one artifact of all roots."""

    root: str
    version_controlled: bool
    namespace: str
    digest: str


def artifact_places(root: str, problems: list[str] | None = None) -> Iterator[Place]:
    """Every artifact's place below `root`, in order; what cannot be listed is in `problems`."""
    for top in (DATA, GIT):
        for module in folder_names(f"{root}/{top}", problems):
            for name in folder_names(f"{root}/{top}/{module}", problems):
                namespace = f"{module}/{name}"
                for digest in folder_names(f"{root}/{top}/{namespace}", problems):
                    if is_digest(digest):
                        yield Place(root, top == GIT, namespace, digest)


def folder_names(path: str, problems: list[str] | None = None) -> list[str]:
    """The folders in a folder, sorted, without hidden ones; symbolic links to folders count.

    A name that is not UTF-8 is passed over: huldra makes none, and no one could show it. Why a
    folder that is there cannot be listed is added to `problems`.
    """
    try:
        with os.scandir(path) as entries:
            names = [e.name for e in entries if not e.name.startswith(".") and e.is_dir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        if problems is not None:
            problems.append(f"{path}: {error.strerror}")
        return []
    return sorted(name for name in names if name.isascii() or _is_utf8(name))


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
