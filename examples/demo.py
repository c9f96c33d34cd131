"""The whole study of `examples.digits` on two local workers: run by `make demo`."""

from __future__ import annotations

import time
from collections.abc import Sequence

import huldra
from examples.digits import DigitModels, Report


def main(argv: Sequence[str] = ()) -> None:
    """Make every model and the report as one graph, and print the table."""
    executor = argv[0] if argv else "local:2"
    began = time.perf_counter()
    models = dict(DigitModels.items())
    report = Report(models=models)

    sweep = huldra.load_or_create({**models, "report": report}, executor=executor, name="digits")
    sweep.wait(progress=True)

    took_s = time.perf_counter() - began
    print()
    print(report.load_or_create().read_text())
    print(f"plot:  {report.huldra_dir / 'report.png'}")
    print(f"took:  {took_s:.2f} s (run it again: everything is loaded)")


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
