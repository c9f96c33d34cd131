"""A store and the pages over it, without a browser."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("streamlit", reason="the dashboard's extra is not installed")

import pandas as pd
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
    for found in app.get("bidi_component"):
        data = shown_by(found)
        if column in [one["id"] for one in data["columns"]]:
            return pd.DataFrame(
                {
                    one["id"]: [_read(row["cells"][index]) for row in data["rows"]]
                    for index, one in enumerate(data["columns"])
                }
            )
    return next(frame.value for frame in app.dataframe if column in frame.value)


def shown_by(component: Any) -> dict[str, Any]:
    """What a run table was given to show."""
    data: dict[str, Any] = json.loads(component.proto.json or component.proto.mixed.json)
    return data


def _read(cell: Any) -> Any:
    """What a person would read of a cell."""
    if not isinstance(cell, dict):
        return cell
    return next(cell[name] for name in ("text", "word", "name", "label") if name in cell)


def send(app: AppTest, with_column: str, **event: Any) -> AppTest:
    """Do with the table that has a column what a person would: `kind` is open, sort or tick."""
    found = next(
        one
        for one in app.get("bidi_component")
        if with_column in [column["id"] for column in shown_by(one)["columns"]]
    )
    states = app._tree.get_widget_states()
    name = f"$$STREAMLIT_INTERNAL_KEY_{found.proto.id}__events"
    payload = json.dumps([{"event": "event", "value": event}])
    states.widgets.append(WidgetState(id=name, json_trigger_value=payload))
    app._run(states)
    assert_sound(app)
    return app


def line(app: AppTest, column: str, index: int) -> str:
    """What line `index` of the table with a column opens."""
    for found in app.get("bidi_component"):
        data = shown_by(found)
        if column in [one["id"] for one in data["columns"]]:
            return str(data["rows"][index]["id"])
    raise AssertionError(f"no table has a column {column}")


def select(app: AppTest, column: str, *, rows: Sequence[int]) -> AppTest:
    """Tick lines of the first table of Streamlit's with this column, as a browser would.

    Setting the table's session state would change what it returns, but call no callback.
    """
    found = next(frame for frame in app.dataframe if column in frame.value)
    selection = {"selection": {"rows": list(rows), "columns": [], "cells": []}}
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
