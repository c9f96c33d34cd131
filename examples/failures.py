"""A failing `_create` raises HuldraComputeError, is recorded, and is tried again when asked for."""

from __future__ import annotations

import os

import huldra


class Fragile(huldra.Huldra[str]):
    """Fails as long as the environment says so (a field would make it another config)."""

    name: str = "fragile"

    def _create(self) -> str:
        if os.environ.get("EXAMPLE_BROKEN"):
            raise ValueError("the disk of the data provider is full")
        (self.huldra_dir / "out.txt").write_text("fine")
        return "fine"

    def _load(self) -> str:
        return (self.huldra_dir / "out.txt").read_text()


class Dependent(huldra.Huldra[str]):
    """Never starts when what it needs was not made."""

    source: Fragile = huldra.field(default_factory=Fragile)

    def _create(self) -> str:
        text = self.source.load_or_create()
        (self.huldra_dir / "out.txt").write_text(text.upper())
        return self._load()

    def _load(self) -> str:
        return (self.huldra_dir / "out.txt").read_text()


def main() -> None:
    """Fail, read why, mend the cause, and go on."""
    os.environ["EXAMPLE_BROKEN"] = "1"
    try:
        Dependent().load_or_create()
    except huldra.HuldraComputeError as error:
        print(f"{type(error).__name__}: {error}")
        print(f"state file: {error.state_path}")
    finally:
        del os.environ["EXAMPLE_BROKEN"]
    print(Dependent().load_or_create())
