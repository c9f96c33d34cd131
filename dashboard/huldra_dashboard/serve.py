"""The command `huldra-dashboard serve|api`, also as `python -m huldra.dashboard`."""

from __future__ import annotations

import argparse
import ipaddress
import os
import socket
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.applications import Starlette

SCRIPT = Path(__file__).with_name("launch") / "streamlit_app.py"
MIN_STREAMLIT = (1, 67)
PORT = 8501
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

EPILOG = """\
There is no login: anyone who reaches the port reads everything. On a cluster, leave the address as
it is and come through a tunnel: ssh -L 8501:localhost:8501 LOGIN-NODE.

exit codes: 0 ended by Ctrl-C; 1 the server could not start; 2 the command line is wrong.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="huldra-dashboard",
        description="Look at stores of huldra in a browser. Reads only, and runs no code of yours.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="serve|api")
    serve = commands.add_parser("serve", help="the pages, and the JSON API below /api")
    _add_server_options(serve)
    serve.add_argument(
        "--sweep",
        action="append",
        default=[],
        metavar="MODULE:CLASS",
        help="a HuldraList to show on the page Sweeps: this imports your code (repeatable)",
    )
    _add_server_options(commands.add_parser("api", help="the JSON API alone"))
    return made


def _add_server_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--host", default="127.0.0.1", help="address to bind (%(default)s)")
    command.add_argument("--port", type=_port, default=PORT, help="port to bind (%(default)s)")
    command.add_argument(
        "--root",
        action="append",
        default=[],
        metavar="DIR",
        help="the store, instead of that of HULDRA_PATH (repeatable)",
    )
    command.add_argument("--reload", action="store_true", help="restart when the code changes")
    command.add_argument(
        "--allow-remote", action="store_true", help="permit a --host that other machines reach"
    )
    command.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name that browsers may call this server by, besides localhost (repeatable)",
    )


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise argparse.ArgumentTypeError(f"{port} is not in 1…65535")
    return port


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; see `--help` for the exit codes."""
    made = parser()
    options = made.parse_args(argv)
    problem = _problem(options)
    if problem:
        made.error(problem)
    try:
        return _serve(options) if options.command == "serve" else _api(options)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("streamlit", "starlette", "uvicorn"):
            raise
        wanted = ".".join(map(str, MIN_STREAMLIT))
        _say(
            f"{error.name} is not installed; the dashboard needs Streamlit:"
            f" pip install 'streamlit>={wanted}'",
        )
        return 1


def _problem(options: argparse.Namespace) -> str:
    """Why these options are refused, "" if they are not; warns where they are only risky."""
    missing = [root for root in options.root if not os.path.isdir(root)]
    if missing:
        return f"--root {missing[0]} is not a directory"
    if is_loopback(options.host):
        return ""
    if not options.allow_remote:
        return (
            f"--host {options.host} is reachable from other machines, and there is no login:"
            " use a tunnel (ssh -L), or say --allow-remote if you mean it"
        )
    _say(
        f"WARNING: {options.host} is open to other machines; anyone who reaches"
        " the port reads configs, logs and files of every artifact",
    )
    return ""


def _say(message: str) -> None:
    sys.stderr.write(f"huldra-dashboard: {message}\n")
    sys.stderr.flush()


def is_loopback(host: str) -> bool:
    """Return True if only this machine reaches what is bound to `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def allowed_hosts(options: argparse.Namespace) -> tuple[str, ...]:
    """The names that a request may call this server by."""
    names = [*_LOOPBACK, *options.allow_host]
    if not is_loopback(options.host):
        names += [options.host, socket.gethostname(), socket.getfqdn()]
    return tuple(dict.fromkeys(name for name in names if name not in ("0.0.0.0", "::", "")))


def roots(options: argparse.Namespace) -> tuple[str, ...]:
    """The absolute roots to show."""
    if options.root:
        return tuple(os.path.abspath(root) for root in options.root)
    from huldra.settings import HULDRA_CONFIG  # here: a bad variable is no trouble with --root

    return (os.path.abspath(HULDRA_CONFIG.root),)


# -------------------------------------------------------------------- serve


def streamlit_arguments(options: argparse.Namespace) -> list[str]:
    """The command line for Streamlit that shows these stores."""
    arguments = [
        "streamlit",
        "run",
        str(SCRIPT),
        f"--server.address={options.host}",
        f"--server.port={options.port}",
        "--server.headless=true",
        "--browser.gatherUsageStats=false",
        f"--server.fileWatcherType={'auto' if options.reload else 'none'}",
        f"--server.runOnSave={'true' if options.reload else 'false'}",
    ]
    arguments += [f"--server.allowedHosts={name}" for name in allowed_hosts(options)]
    arguments.append("--")
    for root in roots(options):
        arguments += ["--root", root]
    for sweep in options.sweep:
        arguments += ["--sweep", sweep]
    return arguments


def _serve(options: argparse.Namespace) -> int:
    from streamlit.web import cli

    installed = metadata.version("streamlit")
    if _release(installed) < MIN_STREAMLIT:
        wanted = ".".join(map(str, MIN_STREAMLIT))
        _say(
            f"Streamlit {installed} is too old: pip install 'streamlit>={wanted}'",
        )
        return 1
    # Streamlit reads its own arguments, and the pages theirs, from here.
    sys.argv = streamlit_arguments(options)
    run: Any = cli.main
    run(prog_name="streamlit")  # ends the process by itself
    return 0


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())


# -------------------------------------------------------------------- api

_API_ROOTS = "_HULDRA_DASHBOARD_ROOTS"  # how a reloading server's child gets them
_API_HOSTS = "_HULDRA_DASHBOARD_HOSTS"


def api_app(store_roots: Sequence[str], hosts: Sequence[str]) -> Starlette:
    """The JSON API as an application of its own."""
    from starlette.applications import Starlette

    from huldra.catalog import Catalog
    from huldra_dashboard import api, shell

    catalog = Catalog(store_roots)
    return Starlette(
        routes=api.routes(lambda: catalog, lambda: hosts), middleware=shell.middleware()
    )


def app_from_environment() -> Starlette:
    """The application for a server that starts it again in child processes."""
    return api_app(
        os.environ[_API_ROOTS].split(os.pathsep), os.environ[_API_HOSTS].split(os.pathsep)
    )


def _api(options: argparse.Namespace) -> int:
    import uvicorn

    bind = {"host": options.host, "port": options.port, "log_level": "warning"}
    address = f"[{options.host}]" if ":" in options.host else options.host
    _say(f"http://{address}:{options.port}/api/health")
    try:
        if options.reload:
            os.environ[_API_ROOTS] = os.pathsep.join(roots(options))
            os.environ[_API_HOSTS] = os.pathsep.join(allowed_hosts(options))
            factory = "huldra_dashboard.serve:app_from_environment"
            uvicorn.run(factory, factory=True, reload=True, **bind)
        else:
            uvicorn.run(api_app(roots(options), allowed_hosts(options)), **bind)
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
