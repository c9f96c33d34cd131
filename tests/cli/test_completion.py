"""`huldra completion`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from huldra import cli
from huldra.cli import completion
from huldra.cli.parser import parser

Script = Callable[[str], str]


@pytest.fixture
def script(capsys: pytest.CaptureFixture[str]) -> Script:
    """Prints the script for a shell."""

    def printed(shell: str) -> str:
        assert cli.main(["completion", shell]) == 0
        return capsys.readouterr().out

    return printed


def completed(script: str, *lines: str) -> list[list[str]]:
    """What bash offers for the last word of each line."""
    count = "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))"
    calls = [f'COMP_WORDS=({line}); {count}; _huldra; echo "${{COMPREPLY[*]}}"' for line in lines]
    ended = subprocess.run(
        ["bash", "--norc", "-c", "\n".join([script, *calls])],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stderr == ""
    return [line.split() for line in ended.stdout.splitlines()]


def test_bash_completes_commands_options_and_values(script: Script) -> None:
    """Where a value is free nothing is offered, so that bash completes a file."""
    assert completed(
        script("bash"),
        "huldra sta",
        "huldra ls --up",
        "huldra ls --result s",
        "huldra logs -f --out",
        "huldra completion f",
        "huldra run --root ''",
        "huldra run ''",
    ) == [
        ["status"],
        ["--updated-after", "--updated-before"],
        ["success"],
        ["--output"],
        ["fish"],
        [],
        [],
    ]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_scripts_have_all_commands_and_options(script: Script, shell: str) -> None:
    """They come from the parser, and bash can read them."""
    text = script(shell)
    for command in completion.commands_of(parser()):
        assert f"{command.name} " in text
        for option in command.options:
            assert set(option.names) <= set(text.replace('"', " ").split())
    subprocess.run(["bash", "-n"], input=text, text=True, timeout=60, check=True)


def test_the_script_for_fish_has_a_line_for_each_command_and_option(script: Script) -> None:
    """Texts are quoted, and values that are fixed are offered."""
    lines = script("fish").splitlines()
    commands = completion.commands_of(parser())
    assert len(lines) == 1 + sum(
        1 + bool(command.words) + len(command.options) for command in commands
    )
    inside = "complete -c huldra -n '__fish_seen_subcommand_from ls'"
    result = f"{inside} -l result -x -a 'absent incomplete success failed' -d ''"
    assert result in lines
    about = "-d 'list a class\\'s artifacts by a metric, the best first'"
    assert f"complete -c huldra -n __fish_use_subcommand -f -a best {about}" in lines


def test_a_bad_environment_does_not_matter(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell that starts asks for the script: it needs no store and no setting."""
    monkeypatch.setenv("HULDRA_PATH", "/nowhere/at/all")
    monkeypatch.setenv("HULDRA_LEASE", "never")
    assert "complete " in script("bash")
