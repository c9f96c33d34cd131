"""The whole study of `examples.digits` on two local workers: run by `make demo`.

Another executor may be named: `python -m examples.demo threads:2`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from examples.digits import DigitModels, Report


def main(argv: Sequence[str] = ()) -> None:
    """Make every model, then the report, and print the table."""
    executor = argv[0] if argv else "local:2"
    began = time.perf_counter()

    sweep = DigitModels.load_or_create(executor=executor)  # digits and pixels are made first, once
    sweep.wait(progress=True)
    report = Report(models=dict(DigitModels.items()))
    table = report.load_or_create(executor=executor).result()

    took_s = time.perf_counter() - began
    print(f"\n{sweep}\n")
    print(f"table: {table}")
    print(f"plot:  {table.with_suffix('.png')}")
    print(f"took:  {took_s:.2f} s (run it again: everything is loaded)")


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
