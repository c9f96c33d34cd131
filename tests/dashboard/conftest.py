"""A store and the pages over it, without a browser."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("streamlit", reason="the dashboard's extra is not installed")

from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.testing.v1 import AppTest

from huldra.catalog import Catalog, Query, Row
from tests.dashboard.store import StoreWriter, example_store

UI = Path(__file__).parents[2] / "dashboard" / "huldra_dashboard" / "ui.py"
TIMEOUT_S = 30.0

Open = Callable[..., AppTest]


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of some 150 artifacts in every state; tests only read it."""
    root = tmp_path_factory.mktemp("example")
    example_store(root, 150)
    return root


@pytest.fixture
def writer(tmp_path: Path) -> StoreWriter:
    """An empty store to write artifacts into."""
    return StoreWriter(tmp_path / "store")


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Open:
    """Draw a page of the dashboard for a root, with parameters in the URL."""

    def draw(store: Path, page: str = "overview", *options: str, **params: str) -> AppTest:
        monkeypatch.setattr(sys, "argv", ["streamlit_app.py", "--root", str(store), *options])
        app = AppTest.from_file(UI, default_timeout=TIMEOUT_S)
        for name, value in params.items():
            app.query_params[name] = value
        if page != "overview":
            app.switch_page(f"screens/{page}.py")
        app.run()
        assert_sound(app)
        return app

    return draw


def assert_sound(app: AppTest) -> None:
    """Fail with the page's own traceback if it shows one."""
    shown = [f"{e.message}\n" + "\n".join(e.stack_trace or []) for e in app.exception]
    assert not shown, "\n".join(shown)


def rows_of(root: Path, **conditions: object) -> tuple[Row, ...]:
    """What the catalog says of a store."""
    snapshot = Catalog([root]).snapshot(max_age_s=0)
    return snapshot.matching(Query(**conditions))  # type: ignore[arg-type]  # names are the test's


def texts(app: AppTest) -> str:
    """All text of a page that is not in a table."""
    kinds = ("title", "subheader", "markdown", "caption", "code", "error", "warning", "success")
    return "\n".join(str(element.value) for kind in kinds for element in app.get(kind))


def param(app: AppTest, name: str) -> str:
    """A parameter of the URL, "" if it is not there."""
    value = app.query_params.get(name, "")
    return str(value[0] if isinstance(value, list) else value)


def table(app: AppTest, column: str) -> Any:
    """The data of the first table that has a column."""
    return next(frame.value for frame in app.dataframe if column in frame.value)


def select(
    app: AppTest, column: str, *, rows: Sequence[int] = (), cells: Sequence[tuple[int, str]] = ()
) -> AppTest:
    """Tick lines or click cells of the first table with this column, as a browser would.

    Setting the table's session state would change what it returns, but call no callback.
    """
    found = next(frame for frame in app.dataframe if column in frame.value)
    selection = {"selection": {"rows": list(rows), "columns": [], "cells": [*map(list, cells)]}}
    states = app._tree.get_widget_states()
    states.widgets.append(WidgetState(id=found.proto.id, string_value=json.dumps(selection)))
    app._run(states)
    assert_sound(app)
    return app


def labels(app: AppTest) -> list[str]:
    """The labels of all buttons."""
    return [button.label for button in app.button]


def click(app: AppTest, label: str) -> AppTest:
    """Press the first button with this label."""
    found = next(button for button in app.button if button.label == label)
    found.click().run()
    assert_sound(app)
    return app
