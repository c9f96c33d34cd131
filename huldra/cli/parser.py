"""Options, and the way from them to a command and an exit code."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib import metadata

from huldra.catalog import ATTEMPT_STATUSES, RESULT_STATUSES, SORT_KEYS, Catalog
from huldra.cli import (
    accept,
    adopt,
    best,
    carry,
    change,
    checkout,
    completion,
    diff,
    doctor,
    failures,
    gc,
    ls,
    output,
    plan,
    rm,
    run,
    show,
    status,
    sweeps,
)
from huldra.cli.output import CommandError
from huldra.errors import HuldraError, HuldraQueryError

EPILOG = """\
ARTIFACT is a hash or its beginning (4 digits or more), Class/<hash>, <namespace>/<hash>, or an
artifact's directory. TARGET is pkg.mod:Class with field=value words, pkg.mod:MyExperiments, a run,
or an ARTIFACT. Where the output is no terminal, tables are tab-separated with a header line.

exit codes: 0 done; 1 something is not there, is refused or failed; 2 the command line is wrong;
130 ended by Ctrl-C. An error is one block on stderr.
"""
_UNITS_BYTES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (see `huldra --help`)."""
    try:
        options = _parsed(_with_joined_sort(sys.argv[1:] if argv is None else argv))
        with _root_of(options):
            return int(options.run(_catalog(options), options))
    except HuldraQueryError as error:
        return _fail(error, 2)
    except CommandError as error:
        return _fail(error, error.exit_code)
    except HuldraError as error:
        return _fail(error, 1)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # `huldra ls | head`: the reader has enough. Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse, with `field=value` words anywhere: argparse takes those behind an option for odd."""
    made = parser()
    _refuse_unknown_command(made, arguments)
    options, odd = made.parse_known_args(arguments)
    words = [word for word in odd if "=" in word and not word.startswith("-")]
    if len(words) < len(odd) or (odd and not hasattr(options, "words")):
        made.error(f"unrecognized arguments: {' '.join(odd)}")
    if words:
        options.words = [*options.words, *words]
    return options


def _refuse_unknown_command(made: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    commands = next(a for a in made._actions if isinstance(a, Commands))  # noqa: SLF001  as above
    if not arguments or arguments[0].startswith("-") or arguments[0] in commands.choices:
        return
    near = difflib.get_close_matches(arguments[0], commands.choices, n=3)
    hint = (
        f"did you mean {' or '.join(near)}?" if near else f"commands: {', '.join(commands.choices)}"
    )
    made.error(f"no command {arguments[0]!r}; {hint}")


def _root_of(options: argparse.Namespace) -> contextlib.AbstractContextManager[object]:
    """Let the first `--root` be the store that a command computes in."""
    if not options.root:
        return contextlib.nullcontext()
    from huldra.settings import huldra_root

    return huldra_root(options.root[0])


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
    text = str(error) if isinstance(error, CommandError) else " ".join(str(error).split())
    sys.stderr.write(f"huldra: {output.clean_log(text)}\n")
    return code


def _catalog(options: argparse.Namespace) -> Catalog:
    roots = options.root
    if getattr(options, "needs_no_store", False):
        return Catalog([])
    if getattr(options, "makes_store", False):
        from huldra.settings import HULDRA_CONFIG

        return Catalog(roots or [HULDRA_CONFIG.root])
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
        description="Compute configs, and look after the store of their artifacts.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=_version())
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands)
    _add_plan(commands)
    _add_why(commands)
    _add_ls(commands)
    _add_show(commands)
    _add_logs(commands)
    _add_path(commands)
    _add_diff(commands)
    _add_accept(commands)
    _add_checkout(commands)
    _add_adopt(commands)
    _add_best(commands)
    _add_sweeps(commands)
    _add_status(commands)
    _add_failures(commands)
    _add_cancel(commands)
    _add_retry(commands)
    _add_discard(commands)
    _add_gc(commands)
    _add_export(commands)
    _add_import(commands)
    _add_rm(commands)
    _add_doctor(commands)
    _add_completion(commands, made)
    return made


def _version() -> str:
    try:
        return f"huldra {metadata.version('huldra')}"
    except metadata.PackageNotFoundError:
        return "huldra (not installed)"


Commands = argparse._SubParsersAction  # noqa: SLF001  argparse has no public name for it


def _command(
    commands: Commands[argparse.ArgumentParser], name: str, about: str, *, add_help: bool = True
) -> argparse.ArgumentParser:
    made = commands.add_parser(
        name,
        add_help=add_help,
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


def _add_target(made: argparse.ArgumentParser, *, is_optional: bool = False) -> None:
    made.add_argument(
        "target",
        nargs="?" if is_optional else None,
        metavar="TARGET",
        help="pkg.mod:Class, pkg.mod:MyExperiments, a run, or an artifact",
    )
    made.add_argument(
        "words", nargs="*", metavar="field=value", help="fields of a class, as chz reads them"
    )


def _add_grid(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "-m",
        dest="grid",
        action="append",
        default=[],
        metavar="field=v,v",
        help="one config for each value, for each combination if repeated",
    )


def _add_engine(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "-e",
        "--executor",
        metavar="ENGINE",
        help="submit to local:8, slurm, slurm:PARTITION, dask, ray, …; without it compute here",
    )
    made.add_argument(
        "--wait", action="store_true", help="wait for the jobs of an engine that needs no driver"
    )


def _add_run(commands: Commands[argparse.ArgumentParser]) -> None:
    made = _command(commands, "run", "compute a target, or submit it to an engine", add_help=False)
    _add_target(made, is_optional=True)
    _add_grid(made)
    made.add_argument(
        "-h", "--help", action="store_true", help="show this help, and the fields of the class"
    )
    _add_engine(made)
    made.add_argument("--plan", action="store_true", help="only show what would be done")
    made.add_argument("--json", action="store_true", help="a JSON list of the members")
    made.set_defaults(run=run.run, makes_store=True, parser=made)


def _add_plan(commands: Commands[argparse.ArgumentParser]) -> None:
    made = _command(commands, "plan", "show what a run would do for each artifact, and why")
    _add_target(made)
    _add_grid(made)
    made.add_argument("--json", action="store_true", help="a JSON object")
    made.set_defaults(run=plan.run, makes_store=True)


def _add_why(commands: Commands[argparse.ArgumentParser]) -> None:
    made = _command(commands, "why", "say why a target is a hit or a miss, and what differs")
    _add_target(made)
    made.add_argument("--json", action="store_true", help="a JSON list")
    made.set_defaults(run=plan.why, makes_store=True)


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
    made.add_argument(
        "--text",
        default="",
        help="search in key, names in sweeps, config values, host, job id and error",
    )
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
    made.add_argument(
        "--code",
        action="store_true",
        help="show how the code on disk differs from the code that computed it",
    )
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


def _add_accept(commands: Commands[argparse.ArgumentParser]) -> None:
    made = _command(commands, "accept", "accept results that other code than today's computed")
    made.add_argument("artifact", nargs="+", metavar="ARTIFACT")
    made.set_defaults(run=accept.run)


def _add_checkout(commands: Commands[argparse.ArgumentParser]) -> None:
    made = _command(commands, "checkout", "restore the code that was frozen at submission")
    made.add_argument("artifact", metavar="ARTIFACT")
    made.add_argument("directory", metavar="DIR", help="a new or empty folder")
    made.set_defaults(run=checkout.run)


def _add_adopt(commands: Commands[argparse.ArgumentParser]) -> None:
    made = _command(commands, "adopt", "let existing results stand for other configs")
    made.add_argument(
        "words", nargs="*", metavar="OLD NEW", help="an ARTIFACT, and a TARGET of one config"
    )
    made.add_argument(
        "--differing",
        action="append",
        default=[],
        metavar="FIELD,FIELD",
        help="take one TARGET: adopt for each config the artifact that differs in these alone",
    )
    made.add_argument(
        "--of", default="", metavar="NAMESPACE", help="with --differing: the artifacts' class"
    )
    made.add_argument("-y", "--yes", action="store_true", help="do it; else only show it")
    made.set_defaults(run=adopt.run)


def _add_sweeps(commands: Commands[argparse.ArgumentParser]) -> None:
    made = _command(commands, "sweeps", "list the recorded runs, newest first, or one's members")
    made.add_argument(
        "run_id", nargs="?", default="", metavar="RUN", help="an id, its beginning, or a name"
    )
    made.add_argument("--limit", type=a_count, default=20, help="lines (%(default)s; 0: all)")
    made.add_argument("--json", action="store_true", help="a JSON list, with the members")
    made.set_defaults(run=sweeps.run)


def _add_status(commands: Commands[argparse.ArgumentParser]) -> None:
    made = _command(commands, "status", "show what runs now, and how far each run or target is")
    _add_target(made, is_optional=True)
    made.add_argument("--limit", type=a_count, default=10, help="runs (%(default)s; 0: all)")
    shape = made.add_mutually_exclusive_group()
    shape.add_argument(
        "-f", "--follow", action="store_true", help="look again until nothing is queued or running"
    )
    shape.add_argument("--json", action="store_true", help="a JSON object")
    made.set_defaults(run=status.run)


def _add_failures(commands: Commands[argparse.ArgumentParser]) -> None:
    made = _command(commands, "failures", "list failed artifacts, grouped by cause")
    made.add_argument("--json", action="store_true", help="a JSON list")
    made.set_defaults(run=failures.run)


def _add_change(
    commands: Commands[argparse.ArgumentParser], name: str, about: str
) -> argparse.ArgumentParser:
    made = _command(commands, name, about)
    _add_target(made)
    made.add_argument("-y", "--yes", action="store_true", help="do not ask where many are meant")
    made.add_argument("-n", "--dry-run", action="store_true", help="only show which are meant")
    made.add_argument("--json", action="store_true", help="a JSON list")
    return made


def _add_cancel(commands: Commands[argparse.ArgumentParser]) -> None:
    about = "end what is queued or running, in the store and at its engine"
    _add_change(commands, "cancel", about).set_defaults(run=change.cancel)


def _add_retry(commands: Commands[argparse.ArgumentParser]) -> None:
    made = _add_change(commands, "retry", "compute what failed, crashed or was cancelled once more")
    _add_engine(made)
    made.set_defaults(run=change.retry)


def _add_discard(commands: Commands[argparse.ArgumentParser]) -> None:
    about = "remove a target's artifacts, unless one is queued or running"
    _add_change(commands, "discard", about).set_defaults(run=change.discard)


def _add_best(commands: Commands[argparse.ArgumentParser]) -> None:
    made = _command(commands, "best", "list a class's artifacts by a metric, the best first")
    made.add_argument("kind", metavar="CLASS", help="Class, or module/Class")
    made.add_argument("metric", metavar="METRIC", help="a number in the artifacts' own files")
    made.add_argument("--min", action="store_true", help="the lowest value is the best")
    made.add_argument("--where", default="", metavar="FILTER", help="a config filter, as of ls")
    made.add_argument("--limit", type=a_count, default=10, help="lines (%(default)s; 0: all)")
    made.add_argument("--json", action="store_true", help="a JSON list")
    made.set_defaults(run=best.run)


def _add_export(commands: Commands[argparse.ArgumentParser]) -> None:
    made = _command(commands, "export", "write a target and all that it needs to one tar file")
    _add_target(made)
    made.description = "The last word is the file: huldra export pkg.mod:Class lr=0.1 out.tar"
    made.add_argument("--json", action="store_true", help="a JSON object")
    made.set_defaults(run=carry.export)


def _add_import(commands: Commands[argparse.ArgumentParser]) -> None:
    made = _command(commands, "import", "bring the artifacts of an export into the store")
    made.add_argument("archive", metavar="OUT.tar")
    made.add_argument("--json", action="store_true", help="a JSON object")
    made.set_defaults(run=carry.import_, makes_store=True)


def _add_gc(commands: Commands[argparse.ArgumentParser]) -> None:
    made = _command(commands, "gc", "show what may go, and move it into the store's trash")
    made.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="TARGET",
        help="what stays, with all that it needs (repeatable; quote a TARGET of several words)",
    )
    made.add_argument("--unreachable", action="store_true", help="what --keep does not reach")
    made.add_argument("--failed", action="store_true", help="what has no result")
    made.add_argument(
        "--older-than", type=a_moment, metavar="AGE", help="what has not changed for so long: 30d"
    )
    made.add_argument(
        "--max-size", type=a_size, metavar="SIZE", help="the oldest, until the rest fits: 500G"
    )
    made.add_argument("-y", "--yes", action="store_true", help="move it into the trash")
    made.add_argument("--undo", action="store_true", help="put the last move back")
    made.add_argument("--empty", action="store_true", help="remove what is in the trash for good")
    made.add_argument("--json", action="store_true", help="a JSON list")
    made.set_defaults(run=gc.run)


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


def _add_doctor(commands: Commands[argparse.ArgumentParser]) -> None:
    made = _command(commands, "doctor", "check the store's file system, the adapters and versions")
    made.add_argument("--read-only", action="store_true", help="write no probe files")
    made.add_argument("--json", action="store_true", help="a JSON list")
    made.set_defaults(run=doctor.run, makes_store=True)


def _add_completion(
    commands: Commands[argparse.ArgumentParser], all_of_it: argparse.ArgumentParser
) -> None:
    made = _command(commands, "completion", "print a script that completes commands and options")
    made.add_argument("shell", choices=tuple(completion.SCRIPTS))
    made.set_defaults(run=completion.run, needs_no_store=True, parser=all_of_it)


def a_count(text: str) -> int:
    """A whole number that is not negative."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is below 0")
    return number


def a_size(text: str) -> int:
    """Bytes from a number with a unit: 500G, 1.5T, 200M (powers of 1024)."""
    unit = _UNITS_BYTES.get(text[-1:].upper())
    number = text[:-1] if unit else text
    try:
        return int(float(number) * (unit or 1))
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 500G or 1.5T") from error


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
