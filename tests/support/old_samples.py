"""The configs of the stores that earlier versions left (`tests/data/store-v*`).

Frozen: what these classes hash to and where they live is on disk there. Add classes for the next
store; change none.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
from pathlib import Path
from typing import Any

import huldra
from tests.support.odd import await_file, leave


class Split(enum.Enum):
    """An enum that stands in a config."""

    TRAIN = "train"
    TEST = "test"


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A dataclass that stands in a config."""

    warmup: int = 10
    decay: float = 0.5


class Corpus(huldra.Huldra[str]):
    """A leaf with an unhashed field."""

    name: str
    split: Split = Split.TRAIN
    verbose: bool = huldra.field(default=False, hashed=False)

    def _create(self) -> str:
        self.log.info("writing the corpus %s", self.name)
        (self.huldra_dir / "corpus.txt").write_text(f"{self.name} {self.split.value}\n")
        return self._load()

    def _load(self) -> str:
        return (self.huldra_dir / "corpus.txt").read_text()


class Model(huldra.Huldra[str]):
    """Holds a corpus, and a value of most kinds."""

    corpus: Corpus
    lr: float = 0.1
    steps: int | None = None
    tags: tuple[str, ...] = ()
    options: dict[str, Any] = huldra.field(default_factory=dict)
    schedule: Schedule = Schedule()
    source: Path = Path("in/put")
    since: datetime.date = datetime.date(2025, 1, 31)
    price: decimal.Decimal = decimal.Decimal("1.50")
    device: str = huldra.field(default="cpu", hashed=False)

    def _create(self) -> str:
        (self.huldra_dir / "weights").mkdir()
        (self.huldra_dir / "weights" / "w.bin").write_bytes(bytes(range(16)))
        text = f"lr {self.lr} on {self.corpus.load_or_create()}"
        (self.huldra_dir / "model.txt").write_text(text)
        return text

    def _load(self) -> str:
        return (self.huldra_dir / "model.txt").read_text()


class Report(huldra.Huldra[str], version_controlled=True):
    """Lives below `git/`, and holds a list of models."""

    models: list[Model]
    title: str = "ré – 报告"

    def _create(self) -> str:
        text = "\n".join([self.title, *(model.load_or_create() for model in self.models)])
        (self.huldra_dir / "report.md").write_text(text, encoding="utf-8")
        return text

    def _load(self) -> str:
        return (self.huldra_dir / "report.md").read_text(encoding="utf-8")


class Bumped(huldra.Huldra[str], cache_version="2"):
    """Has a version of its code in its hash."""

    name: str = "bumped"

    def _create(self) -> str:
        (self.huldra_dir / "text").write_text(self.name)
        return self.name

    def _load(self) -> str:
        return (self.huldra_dir / "text").read_text()


class Outcome(huldra.Huldra[str]):
    """Fails where `fails` says so, and waits for the file `gate`."""

    name: str
    needs: tuple[Outcome, ...] = ()
    fails: bool = huldra.field(default=False, hashed=False)
    gate: str = huldra.field(default="", hashed=False)
    ledger: str = huldra.field(default="", hashed=False)

    def _create(self) -> str:
        leave(self.ledger, f"begin {self.name}")
        if self.gate:
            await_file(Path(self.gate))
        if self.fails:
            raise ValueError(f"{self.name} has no data")
        (self.huldra_dir / "text").write_text(self.name)
        return self.name

    def _load(self) -> str:
        return (self.huldra_dir / "text").read_text()


CORPUS = Corpus(name="toy")
TEST_CORPUS = Corpus(name="toy", split=Split.TEST, verbose=True)
MODEL = Model(
    corpus=CORPUS,
    lr=0.3,
    tags=("a", "b"),
    options={"depth": 3, "nested": {"x": [1, 2.5, None, True]}},
    device="gpu",
)
SECOND_MODEL = Model(corpus=TEST_CORPUS, lr=3, steps=5000)
REPORT = Report(models=[MODEL, SECOND_MODEL])
BUMPED = Bumped()

# What stands in the store, by the name of its state there.
SAMPLES: dict[str, huldra.Huldra[Any]] = {
    "corpus": CORPUS,
    "test corpus": TEST_CORPUS,
    "model": MODEL,
    "second model": SECOND_MODEL,
    "report": REPORT,
    "bumped": BUMPED,
    **{
        name: Outcome(name=name)
        for name in (
            "failed",
            "cancelled",
            "preempted",
            "crashed",
            "abandoned",
            "running",
            "started",
            "retried",
            "discarded",
            "unsaid",  # its end says success, and its owner died before SUCCESS.json
            "local failed",
            "slurm done",
            "slurm bound",
            "slurm hinted",
            "dask queued",
            "dask done",
            "ray queued",
            "local done",
        )
    },
}
SAMPLES["local dependent"] = Outcome(
    name="local dependent", needs=(Outcome(name="local failed", fails=True),)
)
SAMPLES["absent"] = Outcome(name="absent")
