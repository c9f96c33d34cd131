"""Each page over an example store, driven without a browser."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from huldra.catalog import Catalog
from huldra_dashboard import source
from tests.dashboard.conftest import (
    Open,
    assert_sound,
    click,
    labels,
    line,
    param,
    rows_of,
    send,
    table,
    texts,
)
from tests.dashboard.store import StoreWriter

PAGES = ("overview", "experiments", "compare", "graph", "sweeps", "failures", "storage")


@pytest.mark.parametrize("page", PAGES)
def test_page_draws(page: str, example: Path, open_page: Open) -> None:
    """Every page draws over a store with artifacts in every state."""
    assert open_page(example, page).title


@pytest.mark.parametrize("page", PAGES)
def test_empty_store_says_what_to_do(page: str, tmp_path: Path, open_page: Open) -> None:
    """Over an empty store every page says what to do next."""
    app = open_page(tmp_path, page)
    assert "streamlit run dashboard" in texts(app)


@pytest.mark.parametrize("page", ["overview", "experiments", "graph", "failures", "storage"])
def test_filters_without_match_offer_to_clear(page: str, example: Path, open_page: Open) -> None:
    """Where the filters match nothing, a button clears them."""
    app = open_page(example, page, text="no such artifact")
    assert "No artifact matches the filters" in texts(app)
    click(app, "Clear filters")
    assert "No artifact matches the filters" not in texts(app)


def test_overview_chips_add_up_to_the_total(example: Path, open_page: Open) -> None:
    """Each artifact is counted in one chip, by its true status: stale apart from running."""
    app = open_page(example)
    rows = rows_of(example)
    chips = {button.key: button.label for button in app.button if "counter-" in str(button.key)}
    numbers = {key: int(label.split("**")[1].replace(",", "")) for key, label in chips.items()}
    assert sum(numbers.values()) == len(rows)
    for status in ("success", "running", "stale", "crashed", "preempted", "cancelled"):
        count = sum(row.status == status for row in rows)
        assert numbers.get(f"counter-{status}", 0) == count
    assert f"**{len(rows)} artifacts**" in labels(app)


def test_overview_counter_leads_to_the_filtered_list(example: Path, open_page: Open) -> None:
    """The button below a counter opens the list with that status alone."""
    app = open_page(example)
    app.button(key="counter-failed").click().run()
    assert_sound(app)
    assert app.title[0].value == "Experiments"
    assert set(table(app, "status")["status"]) == {"failed"}


FILTERS = {
    "attempt": ("failed", {"attempt_status": ("failed",)}),
    "result": ("incomplete", {"result_status": ("incomplete",)}),
    "ns": ("my_project.models", {"namespace": ("my_project.models",)}),
    "backend": ("dask", {"backend": ("dask",)}),
    "host": ("gpu7", {"hostname": ("gpu7",)}),
    "user": ("grace", {"user": ("grace",)}),
    "text": ("tokenizer/", {"text": "tokenizer/"}),
    "where": ("lr<1e-3 and opt.name=adam", {"config": "lr<1e-3 and opt.name=adam"}),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filter_in_the_url_is_applied(name: str, example: Path, open_page: Open) -> None:
    """A filter in the URL shows exactly what the catalog finds for it."""
    value, condition = FILTERS[name]
    expected = rows_of(example, **condition)
    assert 0 < len(expected) < len(rows_of(example))
    app = open_page(example, "experiments", **{name: value})
    note = f"{len(expected):,} of {len(rows_of(example)):,} artifacts match the filters"
    assert note in texts(app)


def test_time_filter_in_the_url_is_applied(example: Path, open_page: Open) -> None:
    """A range of times limits the list."""
    app = open_page(example, "experiments", started_before="2020-01-01T00:00")
    assert "No artifact matches the filters" in texts(app)


def test_filter_that_is_not_understood_is_named(example: Path, open_page: Open) -> None:
    """A config filter with a mistake is reported, and the list shown whole."""
    app = open_page(example, "experiments", where="lr<<")
    assert "The filters are not applied" in texts(app)
    assert len(table(app, "status")) == 50


def test_unknown_values_in_the_url_do_no_harm(example: Path, open_page: Open) -> None:
    """Values that no widget offers are dropped or match nothing; no page breaks."""
    for page in PAGES:
        open_page(example, page, attempt="nonsense", root="/nowhere", started_after="yesterday")


def test_list_shows_the_fields_that_vary(writer: StoreWriter, open_page: Open) -> None:
    """Config fields are columns when they differ, and not when they are all equal."""
    for seed in range(3):
        writer.add("m/Train", {"seed": seed, "steps": 100, "opt": {"lr": seed / 10}})
    columns = list(table(open_page(writer.root, "experiments"), "status").columns)
    assert "config.seed" in columns
    assert "config.opt.lr" in columns
    assert "config.steps" not in columns


def test_click_on_a_cell_opens_the_artifact(example: Path, open_page: Open) -> None:
    """A click on a cell shows the artifact of that line, with the filters kept."""
    app = open_page(example, "experiments", attempt="failed")
    wanted = rows_of(example, attempt_status=("failed",), sort="-updated_at")[2]
    assert line(app, "status", 2) == wanted.digest
    send(app, "status", kind="open", row=wanted.digest)
    assert param(app, "h") == wanted.digest
    assert wanted.digest in texts(app)
    click(app, "Back")
    assert "h" not in app.query_params
    assert set(table(app, "status")["status"]) == {"failed"}


def test_ticked_lines_are_compared(example: Path, open_page: Open) -> None:
    """Two ticked lines can be compared; the link names both."""
    app = open_page(example, "experiments", ns="my_project.models")
    ticked = [line(app, "status", index) for index in (0, 3)]
    send(app, "status", kind="tick", rows=ticked, on=True)
    click(app, "Compare")
    assert app.title[0].value == "Compare"
    assert len(param(app, "c").split(",")) == 2


def test_ticks_stay_with_their_artifacts(writer: StoreWriter, open_page: Open) -> None:
    """An artifact that appears meanwhile moves lines, and no tick."""
    keys = [writer.add("m/Train", {"seed": seed}, ago_s=1000 + seed) for seed in range(3)]
    app = open_page(writer.root, "experiments")
    send(app, "status", kind="tick", rows=[key[-32:] for key in keys[:2]], on=True)
    writer.add("m/Train", {"seed": 99}, ago_s=1)
    source.catalog().snapshot(max_age_s=0)
    app.run()
    assert len(table(app, "status")) == 4
    click(app, "Compare")
    assert set(param(app, "c").split(",")) == {key[-32:] for key in keys[:2]}


def test_header_sorts_all_matching_artifacts(writer: StoreWriter, open_page: Open) -> None:
    """By a metric, over all pages: again turns the order round; nothing is opened."""
    for seed in range(60):
        files = {"metrics.json": json.dumps({"loss": (seed * 37) % 60})}
        writer.add("m/Train", {"seed": seed}, files=files)
    app = open_page(writer.root, "experiments")
    send(app, "status", kind="sort", column="metrics.loss")
    assert param(app, "sort") == "metrics.loss"
    assert table(app, "status")["metrics.loss"][0] == "0"
    send(app, "status", kind="sort", column="metrics.loss")
    assert table(app, "status")["metrics.loss"][0] == "59"
    assert "h" not in app.query_params


def test_columns_of_the_address_are_shown(writer: StoreWriter, open_page: Open) -> None:
    """Fields and metrics, the best of a curve among them, in the order of the link."""
    history = '{"step": 1, "loss": 3}\n{"step": 2, "loss": 1}\n{"step": 3, "loss": 2}\n'
    writer.add("m/Train", {"seed": 1, "steps": 7}, files={"history.jsonl": history})
    cols = "config.steps,metrics.loss:min"
    data = table(open_page(writer.root, "experiments", cols=cols), "status")
    assert list(data.columns)[2:4] == ["config.steps", "metrics.loss:min"]
    assert (data["config.steps"][0], data["metrics.loss:min"][0]) == ("7", "1")


def test_artifacts_are_called_by_what_varies(writer: StoreWriter, open_page: Open) -> None:
    """By their name in a sweep, else by the fields that vary among those shown."""
    keys = [writer.add("m/Train", {"lr": lr, "steps": 7}) for lr in (0.1, 0.2, 0.3)]
    writer.add_run("Rates", {"the-high-one": keys[2]}, {keys[2]: ()})
    data = table(open_page(writer.root, "experiments"), "status")
    assert set(data["namespace"]) == {"lr 0.1", "lr 0.2", "the-high-one"}


def test_second_page_of_the_list(example: Path, open_page: Open) -> None:
    """Pages follow each other without overlap, by the address, and ticks stay."""
    app = open_page(example, "experiments")
    first = [line(app, "status", index) for index in range(50)]
    send(app, "status", kind="tick", rows=first[:1], on=True)
    app.session_state["list_page-1"] = 2
    app.run()
    app.query_params["page"] = "2"
    app.run()
    assert_sound(app)
    assert not set(first) & {line(app, "status", index) for index in range(50)}
    assert "**1 ticked**" in texts(app)


@pytest.mark.parametrize(
    "tab",
    ["Config", "Relationships", "Metrics", "Log", "Files", "Attempts", "Environment", "Reproduce"],
)
@pytest.mark.parametrize("status", ["success", "failed", "running", "queued", "stale"])
def test_detail_tab_draws(tab: str, status: str, example: Path, open_page: Open) -> None:
    """Each tab of the detail draws for an artifact in each state."""
    row = rows_of(example, attempt_status=(status,))[0]
    app = open_page(example, h=row.digest, tab=tab)
    assert row.digest in texts(app)


def test_detail_of_an_unknown_hash_says_so(example: Path, open_page: Open) -> None:
    """A link to an artifact that is not there leads to a page that says it."""
    app = open_page(example, h="f" * 32)
    assert "No artifact has a hash" in texts(app)
    click(app, "To the list")
    assert app.title[0].value == "Experiments"


def test_hash_in_the_url_is_never_a_path(example: Path, open_page: Open) -> None:
    """What stands in the URL is looked up in the index alone."""
    app = open_page(example, h="../../etc/passwd")
    assert "No artifact has a hash" in texts(app)


def test_dependency_chip_leads_to_the_dependency(example: Path, open_page: Open) -> None:
    """The chip of a dependency opens it."""
    row = next(row for row in rows_of(example) if row.class_name == "Tokenizer")
    app = open_page(example, h=row.digest, tab="Config")
    app.button(key="dependency-0").click().run()
    assert_sound(app)
    assert param(app, "h") == row.dependencies[0].digest
    assert app.title[0].value == "Dataset"


def test_relationships_go_both_ways(writer: StoreWriter, open_page: Open) -> None:
    """A dataset knows who used it, also through a list."""
    data = writer.add("m/Data", {"name": "a"})
    writer.add("m/Join", {"parts": [{"$ref": data}]})
    app = open_page(writer.root, h=data[-32:], tab="Relationships")
    assert [s.value for s in app.subheader][:2] == ["Made from (0)", "Used by (1)"]
    assert list(table(app, "field")["field"]) == ["parts[0]"]


def test_metrics_with_nan_are_shown(writer: StoreWriter, open_page: Open) -> None:
    """NaN and infinities in metrics are shown and break nothing."""
    history = "".join(json.dumps({"step": i, "loss": float("nan")}) + "\n" for i in range(3))
    files = {"metrics.json": '{"loss": NaN, "acc": 0.5, "top": Infinity}', "h.jsonl": history}
    key = writer.add("m/Train", {"a": 1}, files=files)
    app = open_page(writer.root, h=key[-32:], tab="Metrics")
    assert {metric.value for metric in app.metric} >= {"nan", "0.5", "inf"}


def test_log_shows_the_end_of_a_long_file(writer: StoreWriter, open_page: Open) -> None:
    """Of a log of 10 MB the end is shown, and quickly."""
    log = "".join(f"line {index} {'x' * 80}\n" for index in range(100_000))
    key = writer.add("m/Train", {"a": 1}, log=log)
    shown = open_page(writer.root, h=key[-32:], tab="Log").code
    assert any("line 99999" in code.value for code in shown)
    assert all(len(code.value) < 100_000 for code in shown)


def test_log_can_be_searched(writer: StoreWriter, open_page: Open) -> None:
    """Only the lines with a text are shown when one is asked for."""
    key = writer.add("m/Train", {"a": 1}, log="INFO one\nERROR two\nINFO three\n")
    app = open_page(writer.root, h=key[-32:], tab="Log")
    app.text_input(key="log_find").set_value("error").run()
    assert_sound(app)
    assert [code.value for code in app.code if "two" in code.value] == ["ERROR two"]


def test_log_shows_what_was_printed(writer: StoreWriter, open_page: Open) -> None:
    """What a node printed on a worker is one click away, where it printed anything."""
    loud = writer.add("m/Train", {"a": 1}, log="logged\n", output="epoch 1/3\n")
    mute = writer.add("m/Train", {"a": 2}, log="logged\n")
    app = open_page(writer.root, h=loud[-32:], tab="Log")
    assert [code.value for code in app.code if "logged" in code.value] == ["logged"]
    app.button_group(key=f"log_which-{loud[-32:]}").set_value("output").run()
    assert_sound(app)
    assert [code.value for code in app.code if "epoch" in code.value] == ["epoch 1/3"]
    keys = [group.key for group in open_page(writer.root, h=mute[-32:], tab="Log").button_group]
    assert f"log_which-{mute[-32:]}" not in keys


def test_attempts_show_the_traceback(example: Path, open_page: Open) -> None:
    """A failed attempt stands with its traceback."""
    row = next(r for r in rows_of(example, attempt_status=("failed",)) if not r.failed_key)
    app = open_page(example, h=row.digest)
    assert any("Traceback (most recent call last)" in code.value for code in app.code)


def test_failed_dependency_is_one_click_away(example: Path, open_page: Open) -> None:
    """What failed because of another artifact leads to that one."""
    row = next(row for row in rows_of(example) if row.failed_key)
    app = open_page(example, h=row.digest, tab="Attempts")
    button = next(label for label in labels(app) if label.startswith("Go to "))
    click(app, button)
    assert param(app, "h") == row.failed_key[-32:]


def test_reproduce_gives_imports_and_call(writer: StoreWriter, open_page: Open) -> None:
    """The lines to copy import every class that the definition names."""
    data = writer.add("proj.data/Dataset", {"name": "a"})
    key = writer.add("proj.models/Train", {"data": {"$ref": data}})
    app = open_page(writer.root, h=key[-32:], tab="Reproduce")
    code = app.code[1].value
    assert "from proj.data import Dataset" in code
    assert "from proj.models import Train" in code
    assert "artifact.load_or_create()" in code


def test_command_hides_what_looks_like_a_secret(writer: StoreWriter, open_page: Open) -> None:
    """Tokens on the recorded command line are not shown."""
    key = writer.add("m/Train", {"a": 1})
    path = writer.directory(key) / ".huldra" / "metadata.json"
    metadata = json.loads(path.read_text()) | {"command": "train --hub-token=abc123 --lr 3"}
    path.write_text(json.dumps(metadata))
    for tab in ("Environment", "Reproduce"):
        shown = texts(open_page(writer.root, h=key[-32:], tab=tab))
        assert "abc123" not in shown
        assert "--lr 3" in shown


def test_compare_shows_only_what_differs(writer: StoreWriter, open_page: Open) -> None:
    """Equal fields are left out until they are asked for; types count."""
    one = writer.add("m/Train", {"lr": 1, "seed": 3, "opt": {"name": "adam", "beta": 0.9}})
    two = writer.add("m/Train", {"lr": 1.0, "seed": 3, "opt": {"name": "sgd", "beta": 0.9}})
    app = open_page(writer.root, c=f"{one[-32:]},{two[-32:]}")
    assert list(table(app, "field")["field"]) == ["lr", "opt.name"]
    app.toggle(key="compare_all").set_value(True).run()
    assert_sound(app)
    assert list(table(app, "field")["field"]) == ["lr", "seed", "opt.name", "opt.beta"]


def test_compare_shows_metrics_against_the_baseline(writer: StoreWriter, open_page: Open) -> None:
    """Metrics stand with their difference to the first artifact."""
    keys = [
        writer.add("m/Train", {"seed": i}, files={"metrics.json": json.dumps({"acc": acc})})
        for i, acc in enumerate((0.5, 0.75))
    ]
    app = open_page(writer.root, c=",".join(key[-32:] for key in keys))
    assert list(table(app, "metric").iloc[0])[1:] == ["0.5", "0.75  (+0.25)"]


def test_compare_page_lets_one_choose(example: Path, open_page: Open) -> None:
    """The page Compare compares what is chosen by name."""
    app = open_page(example, "compare", ns="my_project.models")
    app.multiselect(key="compare_chosen").set_value(
        [row.digest for row in rows_of(example, namespace=("my_project.models",))[:3]]
    ).run()
    assert_sound(app)
    assert "Config" in [subheader.value for subheader in app.subheader]


def test_graph_holds_every_class(example: Path, open_page: Open) -> None:
    """The class graph has a box for each class and as many counts as there are artifacts."""
    app = open_page(example, "graph")
    option = json.loads(app.get("echarts_chart")[0].proto.spec)
    names = [node["name"] for node in option["series"][0]["data"]]
    assert {row.namespace for row in rows_of(example)} <= set(names)


def test_graph_class_leads_to_its_artifacts(example: Path, open_page: Open) -> None:
    """The button of a class (and its box) shows its artifacts, and leads to the list of all."""
    app = open_page(example, "graph")
    app.button(key="class-my_project.models/TrainModel").click().run()
    assert_sound(app)
    assert len(table(app, "status"))
    click(app, next(label for label in labels(app) if label.endswith("in the list")))
    assert app.title[0].value == "Experiments"
    assert len(table(app, "status"))


def test_graph_around_one_artifact(example: Path, open_page: Open) -> None:
    """The neighbourhood of a chosen artifact is drawn with it in the middle."""
    app = open_page(example, "graph", ns="my_project.models")
    app.segmented_control(key="graph_mode").set_value("Around one artifact").run()
    assert_sound(app)
    option = json.loads(app.get("echarts_chart")[0].proto.spec)
    chosen = app.selectbox(key="graph_artifact").value
    assert any(node["name"].endswith(chosen) for node in option["series"][0]["data"])


def test_sweeps_are_listed_and_open(example: Path, open_page: Open) -> None:
    """A recorded run shows how far it is, and opens."""
    app = open_page(example, "sweeps")
    assert set(table(app, "progress")["sweep"]) == {"Baselines", "WideSweep", "Evaluations"}
    send(app, "progress", kind="open", row=line(app, "progress", 1))
    assert len(table(app, "member"))
    assert " complete" in texts(app)


@pytest.mark.parametrize("view", ["Curves", "Explore"])
def test_sweep_shows_curves_and_fields(view: str, example: Path, open_page: Open) -> None:
    """The address names the view of the members; a chart is drawn."""
    run = next(s.run_id for s in Catalog([example]).sweeps() if s.name == "WideSweep")
    app = open_page(example, "sweeps", run=run, view=view)
    assert len(app.get("echarts_chart")) > 1  # the bar by status, and more


def test_sweep_names_its_state_and_its_best_member(writer: StoreWriter, open_page: Open) -> None:
    """The best complete member by the chosen metric, lowest or highest, and the word for all."""
    members = {}
    for seed, loss in enumerate((0.5, 0.2, 0.9)):
        files = {"metrics.json": json.dumps({"loss": loss})}
        members[f"seed-{seed}"] = writer.add("m/Train", {"seed": seed}, files=files)
    members["broken"] = writer.add("m/Train", {"seed": 9}, status="failed")
    run = writer.add_run("Seeds", members, dict.fromkeys(members.values(), ()))
    app = open_page(writer.root, "sweeps", run=run)
    assert "**seed\\-1**: loss 0\\.2" in texts(app)
    assert list(table(app, "member")["member"]) == ["seed-1", "seed-0", "seed-2", "broken"]
    highest = open_page(writer.root, "sweeps", run=run, mode="highest")
    assert "**seed\\-2**: loss 0\\.9" in texts(highest)
    listed = open_page(writer.root, "sweeps")
    assert list(table(listed, "state")["state"]) == ["finished, 1 failed"]


def test_sweep_by_link(example: Path, open_page: Open) -> None:
    """A sweep has a link of its own; one that is not there says so."""
    assert "No sweep is called" in texts(open_page(example, "sweeps", run="nonsense"))


def test_sweep_named_at_start_is_imported(
    tmp_path: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A HuldraList named at the start is shown with the members that are not made yet."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "my_list_of_two.py").write_text(
        "class One:\n"
        f"    huldra_dir = {str(tmp_path / 'store/data/m/Train' / ('a' * 32))!r}\n"
        "class Sweep:\n"
        "    @staticmethod\n"
        "    def items():\n"
        "        return [('first', One())]\n"
    )
    monkeypatch.syspath_prepend(str(code))
    app = open_page(tmp_path / "store", "sweeps", "--sweep", "my_list_of_two:Sweep")
    click(app, "Open")
    assert app.title[0].value == r"my\_list\_of\_two\:Sweep"
    assert list(table(app, "member")["member"]) == ["first"]
    assert next(iter(table(app, "member")["status"])) == "absent"


def test_sweep_that_cannot_be_imported_is_reported(tmp_path: Path, open_page: Open) -> None:
    """A typo in a sweep's name is shown and takes nothing down."""
    app = open_page(tmp_path, "sweeps", "--sweep", "no_such_module_at_all:Sweep")
    assert "ModuleNotFoundError" in texts(app)


def test_failures_are_grouped(example: Path, open_page: Open) -> None:
    """Each group names its error, and leads to its artifacts."""
    app = open_page(example, "failures")
    assert "HuldraDependencyError" not in texts(app)  # it stands with its cause
    assert "failed because of them" in texts(app)
    button = next(b for b in app.button if str(b.key).startswith("failures-"))
    button.click().run()
    assert_sound(app)
    assert app.title[0].value == "Experiments"
    assert app.text_input(key="failure").value


def test_failure_group_opens(example: Path, open_page: Open) -> None:
    """A group shows the newest traceback and its artifacts on demand."""
    app = open_page(example, "failures")
    next(t for t in app.toggle if str(t.key).startswith("open-")).set_value(True).run()
    assert_sound(app)
    assert any("Traceback" in code.value for code in app.code)


def test_storage_measures_on_demand(example: Path, open_page: Open) -> None:
    """Sizes are found when asked for, by class and by artifact, with the command that removes."""
    app = open_page(example, "storage")
    assert not app.dataframe
    app.button[-1].click().run()
    assert_sound(app)
    by_class = table(app, "share")
    assert sum(by_class["artifacts"]) == len(rows_of(example))
    assert any(code.value.startswith("huldra rm --root ") for code in app.code)


def test_pictures_are_shown(writer: StoreWriter, open_page: Open) -> None:
    """A picture is drawn; a file that only claims to be one is named as such."""
    content = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(content, "PNG")
    files = {"plot.png": content.getvalue(), "fake.png": b"<script>"}
    key = writer.add("m/Train", {"a": 1}, files=files)
    app = open_page(writer.root, h=key[-32:], tab="Files")
    assert len(app.get("image")) == 1
    assert r"fake\.png: not a picture" in texts(app)


def test_queued_artifact_names_what_blocks_it(writer: StoreWriter, open_page: Open) -> None:
    """What is not made upstream, at any distance, is listed."""
    first = writer.add("m/A", {"a": 1}, status="failed")
    second = writer.add("m/B", {"a": {"$ref": first}}, status="queued")
    third = writer.add("m/C", {"b": {"$ref": second}}, status="queued")
    app = open_page(writer.root, h=third[-32:], tab="Relationships")
    assert "Blocked by (2)" in [subheader.value for subheader in app.subheader]


def test_one_hash_in_two_stores_lets_one_choose(
    tmp_path: Path, writer: StoreWriter, open_page: Open
) -> None:
    """Of several roots that hold an artifact, the user says which is meant."""
    other = StoreWriter(tmp_path / "other")
    for one in (writer, other):
        key = one.add("m/Train", {"a": 1}, digest="a" * 32)
    app = open_page(writer.root, "overview", "--root", str(other.root), h=key[-32:], tab="Files")
    assert str(writer.root) in texts(app)
    app.selectbox[0].set_value(1).run()
    assert_sound(app)
    assert str(other.root / "data" / key) in texts(app)


def test_pages_leave_the_store_alone(writer: StoreWriter, open_page: Open) -> None:
    """Looking at every page and tab writes nothing below the root."""
    key = writer.add("m/Train", {"a": 1}, status="failed", files={"metrics.json": '{"a": 1}'})

    def listing() -> list[tuple[str, int, int]]:
        paths = sorted(Path(writer.root).rglob("*"))
        return [(str(p), p.stat().st_mtime_ns, p.stat().st_ino) for p in paths]

    before = listing()
    for page in PAGES:
        open_page(writer.root, page)
    for tab in ("Config", "Log", "Files", "Attempts", "Environment"):
        open_page(writer.root, h=key[-32:], tab=tab)
    assert listing() == before
