"""Where a driver imports from, for its nodes to import from there, too."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
import uuid
from typing import Any

from huldra.engines.kit import sources
from huldra.errors import HuldraExecutorError

# By process: a forked driver is another driver.
_tokens: dict[int, str] = {}


def describe() -> dict[str, Any]:
    """This process's import path now, as plain data for `remote.find_huldra`.

    `digest` is a name of this process with this path, which no other driver has. `interpreter`
    are the entries that came with the Python at `prefix`: no other one should prefer them to its
    own.
    """
    path = list(dict.fromkeys([*sources.import_path(), *huldra_folders()]))
    token = _tokens.setdefault(os.getpid(), uuid.uuid4().hex)
    words = json.dumps([token, path, sys.prefix])
    return {
        "digest": hashlib.blake2b(words.encode(), digest_size=8).hexdigest(),
        "path": path,
        "interpreter": [entry for entry in path if sources.is_interpreters(entry)],
        "prefix": sys.prefix,
    }


def huldra_folders() -> list[str]:
    """Where this process has huldra, its adapters and chz; they may be one folder or three."""
    folders = []
    for package in ("huldra", "huldra_ray", "chz"):
        file = importlib.import_module(package).__file__
        if file is None:
            raise HuldraExecutorError(f"{package} has no file here, so workers could not find it")
        folder = os.path.dirname(os.path.dirname(os.path.abspath(file)))
        if folder not in folders:
            folders.append(folder)
    return folders
