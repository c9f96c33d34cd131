"""Pipelines are configs inside configs: each part gets a directory of its own."""

from __future__ import annotations

import huldra


class Dataset(huldra.Huldra[list[str]]):
    """Some lines of text."""

    name: str = "toy"
    lines: int = 3

    def _create(self) -> list[str]:
        text = "\n".join(f"{self.name} line {i}" for i in range(self.lines))
        (self.huldra_dir / "data.txt").write_text(text)
        return self._load()

    def _load(self) -> list[str]:
        return (self.huldra_dir / "data.txt").read_text().splitlines()


class WordCount(huldra.Huldra[int]):
    """How many words a dataset has: depends on the dataset because it is a field."""

    dataset: Dataset = huldra.field(default_factory=Dataset)

    def _create(self) -> int:
        count = sum(len(line.split()) for line in self.dataset.load_or_create())
        (self.huldra_dir / "count.txt").write_text(str(count))
        return count

    def _load(self) -> int:
        return int((self.huldra_dir / "count.txt").read_text())


class Summary(huldra.Huldra[str]):
    """Several counts in one text: dependencies may stand in tuples, lists and dicts, too."""

    counts: tuple[WordCount, ...]

    def _create(self) -> str:
        rows = [f"{c.dataset.name}: {c.load_or_create()} words" for c in self.counts]
        (self.huldra_dir / "summary.txt").write_text("\n".join(rows))
        return self._load()

    def _load(self) -> str:
        return (self.huldra_dir / "summary.txt").read_text()


def main() -> None:
    """Make a summary; the datasets and counts that it needs are made first, each one once."""
    summary = Summary(
        counts=(
            WordCount(dataset=Dataset(name="toy")),
            WordCount(dataset=Dataset(name="large", lines=1000)),
        )
    )
    print(summary.load_or_create())
    print(f"the large dataset exists: {Dataset(name='large', lines=1000).exists()}")
