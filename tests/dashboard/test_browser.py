"""The dashboard in a real Chromium: what only a browser does."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.dashboard.browsing import CHROMIUM, OPTIONS, WAIT_MS, Screen, serving
from tests.dashboard.conftest import rows_of
from tests.dashboard.store import StoreWriter, example_store
from tests.support.children import finish, start, until

pytestmark = [pytest.mark.chromium, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium for all tests of this file."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        yield found
        found.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A dashboard over a store that the tests of this file may add to."""
    folder = tmp_path_factory.mktemp("browser")
    example_store(folder / "store", 120)
    with serving(folder / "store", folder / "server.log") as address:
        yield folder / "store", address


@pytest.fixture
def screen(browser: Any, server: tuple[Path, str]) -> Iterator[Screen]:
    """A fresh window on the dashboard; a script error in the page fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield Screen(page, server[1])
    context.close()
    assert not errors


def test_list_detail_back_keeps_the_filters(screen: Screen) -> None:
    """From the filtered list into a detail, Back, and Forward: each is one step."""
    screen.open("/experiments?attempt=failed")
    screen.title("Experiments")
    screen.click_line(0)
    screen.wait_for_url("h=")
    screen.see("Attempts")
    detail = screen.page.url
    assert "attempt=failed" in detail
    screen.page.go_back()
    screen.title("Experiments")
    screen.see("match the filters")
    assert "attempt=failed" in screen.page.url
    assert "h=" not in screen.page.url
    screen.page.go_forward()
    screen.see("Attempts")
    assert screen.page.url == detail


def test_detail_opened_from_the_overview_goes_back_to_it(screen: Screen) -> None:
    """A detail is a view over the page that it was opened from."""
    screen.open("/")
    screen.title("Overview")
    screen.click_line(0)
    screen.wait_for_url("h=")
    screen.see("Attempts")
    screen.page.go_back()
    screen.title("Overview")


def test_deep_link_opens_the_detail(screen: Screen, server: tuple[Path, str]) -> None:
    """A link with a hash and a tab shows that artifact and that tab, with the filters set."""
    row = rows_of(server[0], namespace=("my_project.models",), attempt_status=("success",))[0]
    screen.open(f"/experiments?attempt=success&h={row.digest}&tab=Reproduce")
    screen.see(row.digest)
    screen.see("artifact.load_or_create()")
    screen.press("Back")
    screen.see("match the filters")


def test_filter_typed_by_hand_goes_into_the_url(screen: Screen) -> None:
    """What is typed into a filter narrows the list and stands in the address."""
    screen.open("/experiments")
    box = screen.page.get_by_role("textbox", name="Config")
    box.fill("seed<50")
    box.press("Enter")
    screen.wait_for_url("where=seed")
    screen.see("match the filters")


def test_filters_stay_from_page_to_page(screen: Screen) -> None:
    """The navigation keeps the filters, in the widgets and in the address."""
    screen.open("/experiments?attempt=failed")
    screen.page.get_by_test_id("stSidebarNav").get_by_text("Failures").click()
    screen.title("Failures")
    screen.see("match the filters")
    screen.wait_for_url("attempt=failed")


def test_click_on_a_class_of_the_graph_lists_its_artifacts(screen: Screen) -> None:
    """A click on a box of the class graph shows what is in it, one step in the history."""
    screen.open("/graph")
    label = screen.page.locator("svg text", has_text="TrainModel").first
    label.wait_for(timeout=WAIT_MS)
    label.click(force=True)
    screen.wait_for_url("class=")
    screen.see("in the list")
    screen.page.go_back()
    screen.page.get_by_text("in the list").wait_for(state="detached", timeout=WAIT_MS)
    screen.title("Graph")


def test_filters_survive_a_jump_that_sets_others(screen: Screen) -> None:
    """A button that leads to a filtered list replaces the filters that were set before."""
    screen.open("/?ns=my_project.models")
    screen.see("match the filters")
    screen.page.locator(".st-key-counter-failed button").first.click()
    screen.title("Experiments")
    screen.wait_for_url("attempt=failed")
    assert "ns=" not in screen.page.url


def test_click_in_the_neighbourhood_opens_the_other_artifact(
    screen: Screen, server: tuple[Path, str]
) -> None:
    """A click on a box around an artifact opens that one."""
    row = next(row for row in rows_of(server[0]) if row.class_name == "Tokenizer")
    screen.open(f"/experiments?h={row.digest}&tab=Relationships")
    box = screen.page.locator("svg text", has_text="Dataset").first
    box.wait_for(timeout=WAIT_MS)
    box.click(force=True)
    screen.wait_for_url(row.dependencies[0].digest)
    screen.title("Dataset")


def test_a_click_on_a_header_sorts_and_the_address_is_the_view(
    screen: Screen, browser: Any
) -> None:
    """Sorted by a metric, on the second page: Back, a reload and a copied link show the same."""
    screen.open("/experiments?ns=my_project.models/TrainModel")
    before = screen.names()
    header = screen.page.get_by_role("columnheader", name="loss")
    header.get_by_role("button").click()
    screen.wait_for_url("sort=metrics.loss")
    screen.page.locator("th[aria-sort=ascending]").wait_for(timeout=WAIT_MS)
    assert "h=" not in screen.page.url
    ordered = screen.names()
    assert ordered != before
    screen.page.locator("[class*=st-key-list_page] button").last.click()
    screen.wait_for_url("page=2")
    screen.see("51–")
    second = screen.names()
    assert not set(second) & set(ordered)
    screen.page.reload()
    screen.see("51–")
    assert screen.names() == second
    other = browser.new_context().new_page()
    copied = Screen(other, "")
    copied.open(screen.page.url)
    copied.see("51–")
    assert copied.names() == second
    other.context.close()
    screen.page.go_back()
    screen.see("1–50")
    assert screen.names() == ordered


def test_ticked_lines_are_compared(screen: Screen) -> None:
    """Two ticks and a button show what differs; Back is the list."""
    screen.open("/experiments?ns=my_project.models/TrainModel")
    screen.click_line(0, tick=True)
    screen.see("1 ticked")
    screen.click_line(1, tick=True)
    screen.see("2 ticked")
    screen.press("Compare")
    screen.title("Compare")
    screen.wait_for_url("c=")
    screen.page.go_back()
    screen.title("Experiments")


def test_untick_clears_the_ticks(screen: Screen) -> None:
    """Untick removes the ticks from the table too: a new one begins with itself."""
    screen.open("/experiments")
    screen.click_line(0, tick=True)
    screen.see("1 ticked")
    screen.press("Untick")
    screen.page.get_by_text("1 ticked").wait_for(state="detached", timeout=WAIT_MS)
    screen.settle()
    screen.click_line(2, tick=True)
    screen.see("1 ticked")


JOB = """
import logging, os, time
import huldra

class Talker(huldra.Huldra[str]):
    signal: str

    def _create(self):
        logging.getLogger("talker").info("waiting for the signal")
        deadline = time.monotonic() + 60
        while not os.path.exists(self.signal) and time.monotonic() < deadline:
            time.sleep(0.02)
        logging.getLogger("talker").info("the signal came")
        (self.huldra_dir / "done.txt").write_text("done")
        while not os.path.exists(self.signal + ".end") and time.monotonic() < deadline:
            time.sleep(0.02)
        return "done"

    def _load(self):
        return "done"
"""


def test_log_of_a_running_job_is_followed(
    screen: Screen, server: tuple[Path, str], tmp_path: Path
) -> None:
    """What a job logs appears without a click, and so does its end."""
    (tmp_path / "talker_job.py").write_text(JOB)
    signal = tmp_path / "signal"
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    code += f"import talker_job; talker_job.Talker(signal={str(signal)!r}).load_or_create()"
    job = start(code, server[0])
    try:
        until(lambda: bool(rows_of(server[0], namespace=("talker_job",))))
        (row,) = rows_of(server[0], namespace=("talker_job",))
        screen.open(f"/?h={row.digest}&tab=Log")
        screen.page.get_by_text("5 s", exact=True).click()
        screen.see("waiting for the signal")
        assert screen.page.get_by_text("the signal came").count() == 0
        signal.touch()
        screen.see("the signal came")
        Path(f"{signal}.end").touch()
        main = screen.page.get_by_test_id("stMain")
        main.get_by_text("success").first.wait_for(timeout=WAIT_MS)
        assert finish(job)[0] == 0
    finally:
        job.kill()


def test_growing_store_is_watched(screen: Screen, server: tuple[Path, str]) -> None:
    """An artifact that is made while one looks is counted without a click."""
    total = len(rows_of(server[0]))
    screen.open("/")
    screen.page.get_by_text("5 s", exact=True).click()
    screen.see(f"{total:,} artifacts")
    StoreWriter(server[0]).add("live/Growing", {"n": dt.datetime.now(dt.UTC).isoformat()})
    screen.see(f"{total + 1:,} artifacts")


def test_unknown_page_and_hash_are_told_apart(screen: Screen) -> None:
    """A link to an artifact that is gone says so instead of showing another."""
    screen.open(f"/experiments?h={'e' * 32}")
    screen.see("No artifact has a hash")


HOSTILE = '<script>window.hit=1</script><img src=x onerror="window.hit=2">'
BEACON = "![x](http://192.0.2.1/beacon.png) :red[x] [link](javascript:window.hit=3) $x$ `"


def test_values_from_disk_are_never_markup(browser: Any, tmp_path: Path) -> None:
    """Script tags, markdown and pictures in every field stay text on every page and tab."""
    key, data = _hostile_store(StoreWriter(tmp_path / "store"))
    with serving(tmp_path / "store", tmp_path / "server.log") as address:
        context = browser.new_context(viewport={"width": 1440, "height": 1000})
        page = context.new_page()
        outside: list[str] = []
        page.on("request", lambda request: outside.append(request.url))
        screen = Screen(page, address)
        for path in _paths(key, data):
            screen.open(path)
            page.wait_for_timeout(200)  # a script would have run by now; nothing to wait for
            assert page.evaluate("window.hit") is None, path
            sources = page.evaluate("[...document.images].map(image => image.src)")
            assert not [s for s in sources if not s.startswith((address, "data:", "blob:"))], path
        context.close()
    local = (address, "data:", "blob:", address.replace("http", "ws"))
    assert not [url for url in outside if not url.startswith(local)]


def _hostile_store(writer: StoreWriter) -> tuple[str, str]:
    """Write two artifacts whose every text is an attack; returns their keys."""
    text = HOSTILE + BEACON
    data = writer.add(f"m.{HOSTILE[:8]}x/Da<b>ta", {"name": text, HOSTILE: BEACON})
    key = writer.add(
        "m/<script>alert(1)<!script>",
        {"name": text, text: {"$ref": data}, "nested": {text: [text, {text: text}]}},
        status="failed",
        host=text,
        user=text,
        backend=text,
        job_id=text,
        error=(f"builtins.{text}", text),
        log=f"INFO {text}\n\x1b]8;;http://192.0.2.1\x07x\n",
        files={
            "page.html": text,
            "picture.svg": f"<svg xmlns='http://www.w3.org/2000/svg'>{text}</svg>",
            "metrics.json": json.dumps({text: 1.0, "a": {text: 2}}),
            "curve.jsonl": json.dumps({text: 1.0}) + "\n" + json.dumps({text: 2.0}) + "\n",
            "broken.png": text,
            "=cmd.csv": f"a,{text}\n1,2\n",
        },
        git_patch=text,
    )
    writer.add_run(text, {text: key}, {key: [data]}, engine=text, module=text, run_id="hostile")
    path = writer.directory(key) / ".huldra" / "metadata.json"
    metadata = json.loads(path.read_text())
    names = ("command", "git_commit", "git_branch", "git_remote", "huldra_python_def", "platform")
    path.write_text(json.dumps(metadata | dict.fromkeys(names, text)))
    return key, data


def _paths(key: str, data: str) -> list[str]:
    """Every page, view and tab."""
    pages = ["/", *(f"/{p}" for p in ("experiments", "graph", "sweeps", "failures", "storage"))]
    tabs = ("Config", "Relationships", "Metrics", "Log", "Files", "Attempts", "Environment")
    pages += [f"/?c={key[-32:]},{data[-32:]}", "/sweeps?run=hostile"]
    pages += [f"/graph?class={quote(key[:-33], safe='')}"]
    return pages + [f"/?h={key[-32:]}&tab={tab}" for tab in (*tabs, "Reproduce")]
