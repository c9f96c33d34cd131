"""Asking a person before many artifacts are changed."""

from __future__ import annotations

import sys

from huldra.cli.output import CommandError


def confirm(question: str, otherwise: str) -> None:
    """Return where a person agrees; else raise `CommandError`, which says `otherwise`.

    Raises it, too, where stdin is no terminal: a program passes `--yes`.
    """
    if not sys.stdin.isatty():
        raise CommandError(
            f"{otherwise}: cannot ask for confirmation (stdin is not a terminal); pass --yes"
        )
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError(otherwise)
