"""`plan` says what would run and why, `explain` says what differs from what is there."""

from __future__ import annotations

from examples.nesting import Dataset, Summary, WordCount


def main() -> None:
    """Plan a summary of which one part is made already, then ask why the other one is not."""
    made = WordCount(dataset=Dataset(name="toy"))
    made.load_or_create()
    missing = WordCount(dataset=Dataset(name="toy", lines=4))
    print(Summary(counts=(made, missing)).plan())
    print(missing.dataset.explain())
