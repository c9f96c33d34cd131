"""`version_controlled=True` keeps an artifact under `git/`, to be committed with the code."""

from __future__ import annotations

import json

import huldra


class Vocabulary(huldra.Huldra[dict[str, int]], version_controlled=True):
    """Small, hand-checked and worth committing."""

    words: tuple[str, ...] = ("a", "b")

    def _create(self) -> dict[str, int]:
        table = {word: i for i, word in enumerate(sorted(self.words))}
        (self.huldra_dir / "vocabulary.json").write_text(json.dumps(table))
        return table

    def _load(self) -> dict[str, int]:
        table: dict[str, int] = json.loads((self.huldra_dir / "vocabulary.json").read_text())
        return table


def main() -> None:
    """Show where a version-controlled artifact goes."""
    vocabulary = Vocabulary(words=("hello", "world"))
    print(vocabulary.load_or_create())
    print(vocabulary.huldra_dir.relative_to(huldra.get_huldra_root()).parts[0])
