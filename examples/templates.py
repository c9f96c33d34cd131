"""`huldra.MISSING` is a value to be given later; `_dependencies` adds what is not a field."""

from __future__ import annotations

from typing import Any

import huldra
from examples.nesting import Dataset


class Evaluate(huldra.Huldra[int]):
    """A template: everything is set but the dataset's name, and it needs a vocabulary, too."""

    name: str = huldra.MISSING
    top: int = 3

    def _dependencies(self) -> list[huldra.Huldra[Any]]:
        return [Dataset(name=self.name), Dataset(name="vocabulary", lines=self.top)]

    def _create(self) -> int:
        text, vocabulary = (part.load_or_create() for part in self._dependencies())
        (self.huldra_dir / "lines.txt").write_text(str(len(text) + len(vocabulary)))
        return self._load()

    def _load(self) -> int:
        return int((self.huldra_dir / "lines.txt").read_text())


def main() -> None:
    """Ask the template for its hash, then fill it in."""
    template = Evaluate(top=2)
    try:
        print(template.huldra_hash)
    except huldra.HuldraIdentityError as error:
        print(f"not yet: {error}")
    print(huldra.chz.replace(template, name="toy").load_or_create())
