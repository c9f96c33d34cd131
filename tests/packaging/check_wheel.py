"""Check that an installed huldra is the one of a wheel: `python check_wheel.py WHEEL`.

Runs without pytest, in the environment that the wheel was installed into.
"""

from __future__ import annotations

import importlib.metadata
import sys
import zipfile
from pathlib import Path

TOP_LEVEL = {
    "huldra",
    "huldra_local",
    "huldra_submitit",
    "huldra_dask",
    "huldra_ray",
    "huldra_dashboard",
}


def top_level(wheel: Path) -> set[str]:
    """Name what a wheel puts into site-packages, without its own metadata."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name.split("/")[0] for name in archive.namelist()}
    return {name for name in names if not name.endswith(".dist-info")}


def problems(wheel: Path) -> list[str]:
    """Say what is wrong with the wheel, or with its installation in this environment."""
    import huldra

    found = []
    if top_level(wheel) != TOP_LEVEL:
        found.append(f"top level of the wheel is {sorted(top_level(wheel))}")
    if "site-packages" not in Path(huldra.__file__).parts:
        found.append(f"huldra comes from {huldra.__file__}, not from the wheel")
    if huldra.__version__ != importlib.metadata.version("huldra"):
        found.append(f"__version__ is {huldra.__version__}")
    if not (Path(huldra.__file__).parent / "py.typed").is_file():
        found.append("py.typed is not installed")
    return found


if __name__ == "__main__":
    complaints = problems(Path(sys.argv[1]))
    print("\n".join(complaints) or f"{sys.argv[1]}: installed and complete")
    sys.exit(bool(complaints))
