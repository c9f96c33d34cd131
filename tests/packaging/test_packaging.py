"""What is shipped: the wheel, its metadata, and the locks."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from tests.packaging.check_wheel import TOP_LEVEL, top_level

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the checkout."""
    pytest.importorskip("hatchling")
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        timeout=100,
    )
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    """The METADATA of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def pyproject() -> dict[str, object]:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def test_the_wheel_holds_our_packages_and_nothing_else(wheel: Path) -> None:
    """No examples, tests or folders of the repository land in site-packages."""
    assert top_level(wheel) == TOP_LEVEL


@pytest.mark.parametrize("package", sorted(TOP_LEVEL))
def test_the_wheel_ships_the_type_marker(wheel: Path, package: str) -> None:
    """Type checkers find `py.typed` in each package."""
    with zipfile.ZipFile(wheel) as archive:
        assert f"{package}/py.typed" in archive.namelist()


def test_the_wheel_ships_what_is_not_python(wheel: Path) -> None:
    """The dashboard's configuration for Streamlit and its icon are installed."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "huldra_dashboard/launch/.streamlit/config.toml" in names
    assert "huldra_dashboard/assets/icon.png" in names


def test_the_script_of_continuous_integration_is_sound() -> None:
    """`.ci/run` is executable and parses."""
    script = REPOSITORY / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(script)], check=True, timeout=10)


def test_the_core_depends_on_chz_and_rich_alone(metadata: Message) -> None:
    """Everything else stands behind an extra."""
    required = metadata.get_all("Requires-Dist") or []
    core = {re.split(r"[^\w-]", line)[0] for line in required if "extra ==" not in line}
    assert core == {"chz", "rich"}


def test_the_extras_are_those_of_the_documentation(metadata: Message) -> None:
    """One extra an engine, one for the dashboard, `all`, and the demo's libraries."""
    extras = set(metadata.get_all("Provides-Extra") or [])
    assert extras == {"submitit", "dask", "ray", "dashboard", "all", "demo"}


def test_the_commands_are_installed(wheel: Path) -> None:
    """`huldra` and `huldra-dashboard` are console scripts."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("entry_points.txt"))
        text = archive.read(name).decode()
    assert "huldra = huldra.cli:main" in text
    assert "huldra-dashboard = huldra_dashboard.serve:main" in text


def test_the_version_stands_in_one_place() -> None:
    """`huldra.__version__` is what pyproject.toml says, and the changelog has an entry for it."""
    import huldra

    project = pyproject()["project"]
    assert isinstance(project, dict)
    assert huldra.__version__ == project["version"]
    changelog = (REPOSITORY / "CHANGELOG.md").read_text()
    assert f"## [{huldra.__version__}]" in changelog or "## [Unreleased]" in changelog


@pytest.mark.parametrize("name", ["dev", "demo", "test"])
def test_a_lock_is_exact_and_names_no_place(name: str) -> None:
    """Each pin carries hashes; no index address and no path of a machine stands in a lock."""
    text = (REPOSITORY / "requirements" / f"{name}.lock").read_text()
    pins = re.findall(r"^\S+==\S+.*$", text, flags=re.MULTILINE)
    assert pins
    assert all(pin.endswith("\\") for pin in pins), "a pin without a hash"
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", text)) >= len(pins)
    assert not re.search(
        r"://|^\s*-|file:|/home|/root|/work", re.sub(r"--hash", "", text), re.MULTILINE
    )


def test_the_locks_agree() -> None:
    """A package that two locks name has one version."""
    versions: dict[str, set[str]] = {}
    for path in (REPOSITORY / "requirements").glob("*.lock"):
        for pin, version in re.findall(r"^(\S+)==([^\s;]+)", path.read_text(), flags=re.MULTILINE):
            versions.setdefault(pin, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_nothing_tells_users_to_install_huldra_from_an_index() -> None:
    """On the public index the name belongs to another project."""
    files = [
        *REPOSITORY.glob("*.md"),
        *(
            path
            for folder in ("huldra", "executors", "dashboard", "examples", "docs")
            for path in (REPOSITORY / folder).rglob("*")
            if path.suffix in {".py", ".md"}
        ),
    ]
    pattern = re.compile(
        r"(pip install|uv add|uv pip install)\s+(-\S+\s+)*['\"]?huldra\b(?!.*\s@\s)"
    )
    guilty = [
        f"{path.relative_to(REPOSITORY)}: {line.strip()}"
        for path in files
        for line in path.read_text(encoding="utf-8").splitlines()
        if pattern.search(line)
    ]
    assert guilty == []
