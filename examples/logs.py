"""What any logger says while `_create` runs stands in the artifact's huldra.log."""

from __future__ import annotations

import logging

import huldra

log = logging.getLogger(__name__)


class MyPipeline(huldra.Huldra[str]):
    """Logs with the standard library, and with the artifact's own logger."""

    name: str = "first"

    def _create(self) -> str:
        log.info("starting %s", self.name)
        self.log.info("this one too")
        (self.huldra_dir / "done.txt").write_text("done")
        return "done"

    def _load(self) -> str:
        return (self.huldra_dir / "done.txt").read_text()


def main() -> None:
    """Make an artifact and print what it logged."""
    pipeline = MyPipeline()
    pipeline.load_or_create()
    print((pipeline.huldra_dir / ".huldra" / "huldra.log").read_text())
