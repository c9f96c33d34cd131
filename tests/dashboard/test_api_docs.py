"""docs/api.md and docs/cli.md name everything that there is."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the dashboard's libraries are not installed")

from starlette.routing import Route

from huldra.catalog import ATTEMPT_STATUSES, RESULT_STATUSES
from huldra.cli.parser import parser
from huldra_dashboard import api

DOCS = Path(__file__).parents[2] / "docs"


def test_every_route_is_documented() -> None:
    """A path of the API stands in the table of docs/api.md."""
    text = (DOCS / "api.md").read_text()
    for route in api.routes():
        assert isinstance(route, Route)
        path = route.path.replace("{namespace:anything}", "{namespace}")
        path = path.replace("{digest}", "{hash}")
        if "{rest" not in path and path != "/api":
            assert f"`{path}`" in text


def test_every_filter_is_documented() -> None:
    """A parameter of the API stands in docs/api.md."""
    text = (DOCS / "api.md").read_text()
    for name in {"limit", "offset", "sort", *api._FILTERS}:
        assert f"`{name}`" in text, name


def test_every_command_and_option_is_documented() -> None:
    """What `--help` offers stands in docs/cli.md."""
    text = (DOCS / "cli.md").read_text()
    actions = [a for a in parser()._actions if isinstance(a, argparse._SubParsersAction)]
    (commands,) = actions
    for name, command in commands.choices.items():
        assert re.search(rf"^huldra {name} ", text, re.MULTILINE), name
        for action in command._actions:
            for option in action.option_strings:
                if option.startswith("--") and option not in ("--help", "--dry-run", "--offset"):
                    assert option in text or action.option_strings[0] in text, option
    for status in (*RESULT_STATUSES, *ATTEMPT_STATUSES):
        assert f"`{status}`" in text
