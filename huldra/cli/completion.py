"""`huldra completion`: a script that completes commands and options, for three shells.

It is made from the parser, so it knows what `huldra --help` knows. It completes no artifact and no
run: a shell would wait for the store at each key.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from huldra.catalog import Catalog
from huldra.cli import output


@dataclass(frozen=True, slots=True)
class Option:
    """An option's names; whether a value follows, and which ones, where they are fixed."""

    names: tuple[str, ...]
    takes_value: bool
    choices: tuple[str, ...]
    about: str


@dataclass(frozen=True, slots=True)
class Command:
    """A command with its options, and the words that its first argument can be, where fixed."""

    name: str
    about: str
    options: tuple[Option, ...]
    words: tuple[str, ...]


def run(_: Catalog, options: argparse.Namespace) -> int:
    """Print the script for a shell."""
    output.write(SCRIPTS[options.shell](commands_of(options.parser)))
    return 0


def commands_of(parser: argparse.ArgumentParser) -> list[Command]:
    """Return what the parser knows, in its order."""
    actions = parser._actions  # noqa: SLF001  argparse has no public way to them
    commands = next(a for a in actions if isinstance(a, argparse._SubParsersAction))  # noqa: SLF001
    abouts = {one.dest: one.help or "" for one in commands._choices_actions}  # noqa: SLF001
    parsers: Mapping[str, argparse.ArgumentParser] = commands.choices
    return [_command(name, abouts[name], made) for name, made in parsers.items()]


def _command(name: str, about: str, parser: argparse.ArgumentParser) -> Command:
    actions = parser._actions  # noqa: SLF001  as above
    options = tuple(_option(action) for action in actions if action.option_strings)
    first = next((action for action in actions if not action.option_strings), None)
    return Command(name, about, options, _choices(first) if first is not None else ())


def _option(action: argparse.Action) -> Option:
    about = (action.help or "") % {**vars(action), "prog": "huldra"}
    return Option(tuple(action.option_strings), action.nargs != 0, _choices(action), about)


def _choices(action: argparse.Action) -> tuple[str, ...]:
    return tuple(map(str, action.choices or ()))


# ---- bash and zsh -------------------------------------------------------------------------------


def bash(commands: Sequence[Command]) -> str:
    """Return the script for bash: what it does not know is completed as a file."""
    names = " ".join([*(command.name for command in commands), "--help", "--version"])
    values = "".join(map(_bash_values, commands))  # names such as `words` are special in zsh
    words = "".join(map(_bash_words, commands))
    return f"""\
# huldra: completion for bash
_huldra() {{
    local typed="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" known=""
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "{names}" -- "$typed"))
        return
    fi
    case "${{COMP_WORDS[1]}} $before" in
{values}    esac
    case "${{COMP_WORDS[1]}} $typed" in
{words}    esac
    COMPREPLY=($(compgen -W "$known" -- "$typed"))
}}
complete -o default -F _huldra huldra
"""


def _bash_values(command: Command) -> str:
    """What may follow an option that takes a value; a file where that is free."""
    lines = ""
    for option in command.options:
        if option.takes_value:
            places = "|".join(f'"{command.name} {name}"' for name in option.names)
            take = f'COMPREPLY=($(compgen -W "{" ".join(option.choices)}" -- "$typed")); '
            lines += f"        {places}) {take if option.choices else ''}return ;;\n"
    return lines


def _bash_words(command: Command) -> str:
    """The options, after a dash; else the words that an argument can be."""
    options = " ".join(name for option in command.options for name in option.names)
    lines = f'        "{command.name} -"*) known="{options}" ;;\n'
    if command.words:
        lines += f'        "{command.name} "*) known="{" ".join(command.words)}" ;;\n'
    return lines


def zsh(commands: Sequence[Command]) -> str:
    """Return the script for zsh: that for bash, which zsh takes after `bashcompinit`."""
    return f"""\
# huldra: completion for zsh
autoload -Uz compinit bashcompinit
whence compdef > /dev/null || compinit
bashcompinit
{bash(commands)}"""


# ---- fish ---------------------------------------------------------------------------------------


def fish(commands: Sequence[Command]) -> str:
    """Return the script for fish."""
    return "# huldra: completion for fish\n" + "".join(
        f"complete -c huldra {line}\n" for command in commands for line in _fish_lines(command)
    )


def _fish_lines(command: Command) -> Iterator[str]:
    yield f"-n __fish_use_subcommand -f -a {command.name} -d {_quoted(command.about)}"
    inside = f"-n '__fish_seen_subcommand_from {command.name}'"
    if command.words:
        yield f"{inside} -f -a '{' '.join(command.words)}'"
    for option in command.options:
        names = " ".join(
            f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names
        )
        value = f" -x -a '{' '.join(option.choices)}'" if option.choices else ""
        value = value or (" -r" if option.takes_value else "")
        yield f"{inside} {names}{value} -d {_quoted(option.about)}"


def _quoted(text: str) -> str:
    """Return the text as one word of fish."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


SCRIPTS: Mapping[str, Callable[[Sequence[Command]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
