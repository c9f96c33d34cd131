"""Each Python block of the README runs, in order, as a person would try it in one project.

A block whose first line is a path (`# my_project/text.py`) becomes that file, and is imported or,
at the top of the project, run as a script. Any other block runs as it stands. A block is
left out only by a comment before it: `<!-- not run: REASON -->`, or `<!-- needs: dask -->` for
one that runs where that part is installed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import parts

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(
    r"(?:<!-- (?P<word>not run|needs): (?P<rest>[^>]+) -->\n)?^```python\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
# Runs every block in one process, in order, and says how each one ended.
DRIVER = """
import importlib, json, runpy, sys, traceback
outcomes = {}
for label, kind, target in json.load(open("blocks.json")):
    try:
        if kind == "import":
            importlib.import_module(target)
        else:
            runpy.run_path(target, run_name="__main__")
        outcomes[label] = ""
    except BaseException:
        outcomes[label] = traceback.format_exc()
json.dump(outcomes, open("outcomes.json", "w"))
"""


@dataclass(frozen=True)
class Block:
    """One Python block: where it stands, what it needs, and its text."""

    label: str
    path: str | None
    code: str
    needs: str | None
    skipped: str | None


def blocks() -> list[Block]:
    """Every Python block of the README, in order."""
    found = []
    for match in BLOCK.finditer(README):
        line = README.count("\n", 0, match.start("code")) + 1
        first = re.match(r"# (\S+\.py)\n", match["code"])
        found.append(
            Block(
                label=f"line {line}",
                path=first[1] if first else None,
                code=match["code"],
                needs=match["rest"].strip() if match["word"] == "needs" else None,
                skipped=match["rest"].strip() if match["word"] == "not run" else None,
            )
        )
    return found


def runnable() -> list[Block]:
    return [b for b in blocks() if b.skipped is None and not (b.needs and parts.missing(b.needs))]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """How each block ended: the empty string, or its traceback."""
    project = tmp_path_factory.mktemp("project")
    plan = []
    for number, block in enumerate(runnable()):
        path = project / (block.path or f"block_{number}.py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(block.code)
        is_module = path.parent != project
        target = f"{path.parent.name}.{path.stem}" if is_module else path.name
        plan.append((block.label, "import" if is_module else "run", target))
    (project / "blocks.json").write_text(json.dumps(plan))
    (project / "driver.py").write_text(DRIVER)
    done = subprocess.run(
        [sys.executable, "driver.py"],
        cwd=project,
        env={k: v for k, v in os.environ.items() if not k.startswith("HULDRA_")},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert (project / "outcomes.json").exists(), done.stdout + done.stderr
    result: dict[str, str] = json.loads((project / "outcomes.json").read_text())
    return result


@pytest.mark.parametrize("block", blocks(), ids=lambda block: block.label)
def test_the_block_runs(block: Block, outcomes: dict[str, str]) -> None:
    """What the README shows can be typed as it stands."""
    if block.skipped:
        pytest.skip(block.skipped)
    if block.needs:
        parts.require(block.needs)
    assert outcomes[block.label] == ""


def test_few_blocks_are_left_out() -> None:
    """Not running a block is an exception, with its reason."""
    assert len([b for b in blocks() if b.skipped]) <= 2


def test_every_make_target_of_the_readme_exists() -> None:
    """`make X` in a text is a target of the Makefile."""
    makefile = (REPOSITORY / "Makefile").read_text()
    texts = README + (REPOSITORY / "CONTRIBUTING.md").read_text()
    for target in set(re.findall(r"^make ([a-z]+)|`make ([a-z]+)", texts, flags=re.MULTILINE)):
        assert re.search(rf"^{target[0] or target[1]}:", makefile, flags=re.MULTILINE), target


def test_every_command_of_the_readme_exists() -> None:
    """`huldra X` in a shell block is a subcommand that answers `--help`."""
    shell = "\n".join(re.findall(r"^```bash\n(.*?)^```$", README, re.MULTILINE | re.DOTALL))
    commands = set(re.findall(r"^huldra ([a-z]+)", shell, flags=re.MULTILINE))
    assert commands
    for command in sorted(commands):
        done = subprocess.run(
            [sys.executable, "-m", "huldra", command, "--help"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr


def test_every_linked_file_exists() -> None:
    """Links of the README lead somewhere."""
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README)
    assert [target for target in targets if not (REPOSITORY / target).exists()] == []


def test_every_variable_of_the_settings_is_documented() -> None:
    """The README's table of variables is the table of the code."""
    rows = set(re.findall(r"^\| `(HULDRA_\w+)`", README, flags=re.MULTILINE))
    code = (REPOSITORY / "huldra" / "settings.py").read_text()
    assert rows == set(re.findall(r'"(HULDRA_[A-Z_]+)"', code))
