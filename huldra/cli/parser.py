"""Options, and the way from them to a command and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib import metadata

from huldra.catalog import ATTEMPT_STATUSES, RESULT_STATUSES, SORT_KEYS, Catalog
from huldra.cli import diff, failures, ls, rm, show, sweeps
from huldra.cli.output import CommandError
from huldra.errors import HuldraError, HuldraQueryError

EPILOG = """\
ARTIFACT is a hash or its beginning (4 digits or more), Class/<hash>, <namespace>/<hash>, or an
artifact's directory. Where the output is no terminal, tables are tab-separated with a header line.

exit codes: 0 done; 1 something is not there, is refused or failed; 2 the command line is wrong;
130 ended by Ctrl-C. An error is one line on stderr, what cannot be listed one line each.
"""
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (see `huldra --help`)."""
    made = parser()
    options = made.parse_args(_with_joined_sort(sys.argv[1:] if argv is None else argv))
    try:
        return int(options.run(_catalog(options), options))
    except HuldraQueryError as error:
        return _fail(error, 2)
    except (CommandError, HuldraError) as error:
        return _fail(error, 1)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # `huldra ls | head`: the reader has enough. Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _with_joined_sort(arguments: Sequence[str]) -> list[str]:
    """Let `--sort -updated_at` mean what it says: argparse takes the second word for an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] == "--sort" and argument.startswith("-"):
            joined[-1] = f"--sort={argument}"
        else:
            joined.append(argument)
    return joined


def _fail(error: Exception, code: int) -> int:
    sys.stderr.write(f"huldra: {' '.join(str(error).split())}\n")
    return code


def _catalog(options: argparse.Namespace) -> Catalog:
    roots = options.root
    for root in roots:
        if not os.path.isdir(root):
            raise CommandError(f"--root {root} is not a directory")
    if not roots:
        from huldra.settings import HULDRA_CONFIG  # here: --root works with a bad environment

        roots = [HULDRA_CONFIG.root]
        if not os.path.isdir(roots[0]):
            raise CommandError(_no_store(roots[0]))
    return Catalog(roots)


def _no_store(root: str) -> str:
    if os.environ.get("HULDRA_PATH"):
        return f"no store at {root}, which HULDRA_PATH names; pass --root DIR to use another"
    return (
        f"no store at {root}: HULDRA_PATH is not set, so the default ./data-huldra of the working"
        " directory applies; set HULDRA_PATH, or pass --root DIR"
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="huldra",
        description="Inspect a huldra store, and remove artifacts from it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=_version())
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_ls(commands)
    _add_show(commands)
    _add_logs(commands)
    _add_path(commands)
    _add_diff(commands)
    _add_sweeps(commands)
    _add_failures(commands)
    _add_rm(commands)
    return made


def _version() -> str:
    try:
        return f"huldra {metadata.version('huldra')}"
    except metadata.PackageNotFoundError:
        return "huldra (not installed)"


Commands = argparse._SubParsersAction  # noqa: SLF001  argparse has no public name for it


def _command(
    commands: Commands[argparse.ArgumentParser], name: str, about: str
) -> argparse.ArgumentParser:
    made = commands.add_parser(
        name,
        help=about,
        description=about,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--root",
        action="append",
        default=[],
        metavar="DIR",
        help="use this store instead of HULDRA_PATH (repeatable)",
    )
    return made


def _add_ls(commands: Commands[argparse.ArgumentParser]) -> None:
    made = _command(commands, "ls", "list artifacts, most recently changed first")
    made.add_argument("namespace", nargs="*", help="a module, module/Class, or a prefix of one")
    made.add_argument("--result", action="append", default=[], choices=RESULT_STATUSES)
    made.add_argument("--attempt", action="append", default=[], choices=ATTEMPT_STATUSES)
    for name in ("backend", "hostname", "user"):
        made.add_argument(f"--{name}", action="append", default=[], metavar=name.upper())
    moment = "ISO 8601 (UTC if no zone), or an age: 30m 12h 7d"
    for name in ("started-after", "started-before", "updated-after", "updated-before"):
        made.add_argument(f"--{name}", type=a_moment, metavar="WHEN", help=moment)
    made.add_argument(
        "--where",
        default="",
        metavar="FILTER",
        help='config filter: "lr<1e-3 and opt.name=adam" (= != < <= > >= ~ in, and, or)',
    )
    made.add_argument("--text", default="", help="search in key, host, job id and error")
    made.add_argument(
        "--sort",
        default="-updated_at",
        metavar="COLUMN",
        help=f"{', '.join(SORT_KEYS)}, config.<path> or metrics.<name>; -COLUMN: descending",
    )
    made.add_argument("--limit", type=a_count, default=50, help="lines (%(default)s; 0: all)")
    made.add_argument("--offset", type=a_count, default=0)
    made.add_argument(
        "--fields", default="", metavar="A,B.C", help="config fields or metrics.<name>, as columns"
    )
    shape = made.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="a JSON list")
    shape.add_argument(
        "--keys", action="store_true", help="print only <namespace>/<hash>, one per line"
    )
    made.set_defaults(run=ls.run)


def _add_show(commands: Commands[argparse.ArgumentParser]) -> None:
    made = _command(commands, "show", "show everything recorded about an artifact")
    made.add_argument("artifact", metavar="ARTIFACT")
    made.add_argument("--json", action="store_true", help="as one JSON object")
    made.set_defaults(run=show.show)


def _add_logs(commands: Commands[argparse.ArgumentParser]) -> None:
    made = _command(commands, "logs", "print the end of an artifact's log")
    made.add_argument("artifact", metavar="ARTIFACT")
    made.add_argument(
        "-o",
        "--output",
        action="store_true",
        help="show the output (stdout and stderr) of its attempts on workers",
    )
    made.add_argument("-n", "--lines", type=a_count, default=100, help="(%(default)s; 0: all)")
    made.add_argument(
        "-f", "--follow", action="store_true", help="follow the log until the attempt ends"
    )
    made.set_defaults(run=show.logs)


def _add_path(commands: Commands[argparse.ArgumentParser]) -> None:
    made = _command(commands, "path", "print an artifact's directory")
    made.add_argument("artifact", metavar="ARTIFACT")
    made.set_defaults(run=show.path)


def _add_diff(commands: Commands[argparse.ArgumentParser]) -> None:
    made = _command(commands, "diff", "show the config fields in which two artifacts differ")
    made.add_argument("one", metavar="ARTIFACT")
    made.add_argument("other", metavar="ARTIFACT")
    made.add_argument("--json", action="store_true", help="a JSON list")
    made.set_defaults(run=diff.run)


def _add_sweeps(commands: Commands[argparse.ArgumentParser]) -> None:
    made = _command(commands, "sweeps", "list the recorded runs, newest first, or one's members")
    made.add_argument(
        "run_id", nargs="?", default="", metavar="RUN", help="an id, its beginning, or a name"
    )
    made.add_argument("--limit", type=a_count, default=20, help="lines (%(default)s; 0: all)")
    made.add_argument("--json", action="store_true", help="a JSON list, with the members")
    made.set_defaults(run=sweeps.run)


def _add_failures(commands: Commands[argparse.ArgumentParser]) -> None:
    made = _command(commands, "failures", "list failed artifacts, grouped by cause")
    made.add_argument("--json", action="store_true", help="a JSON list")
    made.set_defaults(run=failures.run)


def _add_rm(commands: Commands[argparse.ArgumentParser]) -> None:
    made = _command(commands, "rm", "remove artifacts with all their files")
    made.add_argument(
        "artifact", nargs="*", metavar="ARTIFACT", help="- reads artifacts from stdin"
    )
    made.add_argument(
        "--litter", action="store_true", help="also remove leftover files of crashed runs"
    )
    made.add_argument(
        "--force", action="store_true", help="also remove artifacts that are queued or running"
    )
    made.add_argument("-y", "--yes", action="store_true", help="do not ask for confirmation")
    made.add_argument(
        "-n", "--dry-run", action="store_true", help="only show what would be removed"
    )
    made.add_argument("--json", action="store_true", help="print the removed paths as a JSON list")
    made.set_defaults(run=rm.run)


def a_count(text: str) -> int:
    """A whole number that is not negative."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is below 0")
    return number


def a_moment(text: str) -> datetime:
    """A moment from ISO 8601 text, or from an age."""
    unit, number = _UNITS_S.get(text[-1:]), text[:-1]
    try:
        if unit is not None and number.replace(".", "", 1).isdecimal():
            return datetime.now(UTC) - timedelta(seconds=float(number) * unit)
        return datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither an ISO 8601 time nor an age such as 30m, 12h or 7d"
        ) from error
