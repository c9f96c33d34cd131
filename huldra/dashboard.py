"""`python -m huldra.dashboard serve|api`: the dashboard's command, found when it is run."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run `huldra-dashboard`; 1 when the dashboard is not installed."""
    try:
        # By name: the core itself knows no screen.
        command = importlib.import_module("huldra_dashboard.serve")
    except ModuleNotFoundError as error:
        if error.name != "huldra_dashboard":
            raise
        sys.stderr.write(
            "huldra.dashboard: this install has no package huldra_dashboard; install huldra from"
            " its wheel or a clone, with its [dashboard] extra\n"
        )
        return 1
    return int(command.main(argv))


if __name__ == "__main__":
    sys.exit(main())
