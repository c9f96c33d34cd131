"""Lists: conditions, order and pages."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest

from huldra.catalog import Catalog, Query, Row, Snapshot
from huldra.errors import HuldraQueryError
from tests.dashboard.store import StoreWriter, ref


@pytest.fixture
def snapshot(writer: StoreWriter, catalog: Catalog) -> Snapshot:
    """Six artifacts that differ in everything one can ask for."""
    data = writer.add("proj.data/Data", {"name": "toy"}, ago_s=9000, user="ada")
    add = writer.add
    add("proj.models/Train", {"lr": 0.1, "data": ref(data)}, ago_s=5000, backend="slurm",
        host="node1", job_id="job-77", duration_s=30)  # fmt: skip
    add("proj.models/Train", {"lr": 0.01, "opt": {"name": "adam"}}, ago_s=4000, status="failed",
        user="grace", error=("RuntimeError", "Out of Memory"))  # fmt: skip
    add("proj.models/Train", {"lr": float("nan")}, ago_s=3000, status="running", host="node2")
    add("proj.models.big/Train", {"lr": "auto"}, ago_s=2000, status="stale")
    add("projector/Show", {"lr": 5}, ago_s=1000, status="queued", backend="dask", job_id="k")
    return catalog.snapshot()


def lrs(rows: tuple[Row, ...]) -> list[object]:
    return [(row.config or {}).get("lr") for row in rows]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        (Query(), 6),
        (Query(result_status=("success",)), 2),
        (Query(result_status=("failed", "success")), 3),
        (Query(attempt_status=("running",)), 1),
        (Query(attempt_status=("stale",)), 1),
        (Query(namespace=("proj",)), 5),
        (Query(namespace=("proj.models",)), 4),
        (Query(namespace=("proj.models/",)), 3),
        (Query(namespace=("proj.models/Train",)), 3),
        (Query(namespace=("proj.models/Tra",)), 0),
        (Query(namespace=("proj.models.Train",)), 3),
        (Query(namespace=("proj.models.Tra",)), 0),
        (Query(namespace=("proj.data", "projector")), 2),
        (Query(backend=("slurm",)), 1),
        (Query(backend=("slurm", "dask")), 2),
        (Query(backend=("submitit",)), 1),
        (Query(hostname=("node1", "node2")), 2),
        (Query(user=("grace",)), 1),
        (Query(text="out of memory"), 1),
        (Query(text="JOB-77"), 1),
        (Query(text="PROJECTOR"), 1),
        (Query(config="lr<1"), 2),
        (Query(config="lr=auto"), 1),
        (Query(config="data.name=toy"), 1),
        (Query(config="data.name=toy or name=toy"), 2),
        (Query(config="lr<1", result_status=("failed",)), 1),
        (Query(keys=frozenset()), 0),
        (Query(failure_group="nothing"), 0),
    ],
)
def test_conditions(snapshot: Snapshot, query: Query, count: int) -> None:
    """Each condition leaves the artifacts that meet it; a tuple is a choice."""
    page = snapshot.query(query)
    assert page.total == count == len(page.rows)


def test_times_are_ranges(snapshot: Snapshot, writer: StoreWriter) -> None:
    """Started and updated ranges include their ends; rows without the time match none."""
    ago = [writer.now - timedelta(seconds=s) for s in (0, 1000, 2000, 3000, 4000, 9000)]
    assert snapshot.query(Query(started_after=ago[3])).total == 2
    assert snapshot.query(Query(started_after=ago[4], started_before=ago[3])).total == 2
    assert snapshot.query(Query(started_before=ago[5])).total == 1
    assert snapshot.query(Query(updated_after=ago[2])).total == 2
    assert snapshot.query(Query(updated_before=ago[1])).total == 6
    assert snapshot.query(Query(started_after=ago[3].replace(tzinfo=None))).total == 2


def test_the_last_changed_comes_first(snapshot: Snapshot) -> None:
    """Without a word the order is by time of change, newest first."""
    times = [row.updated_at for row in snapshot.query().rows]
    assert times == sorted(times, reverse=True)


def test_order_by_a_config_field_of_mixed_types(snapshot: Snapshot) -> None:
    """Numbers come before text, text before NaN, and rows without the field last both ways."""
    up = lrs(snapshot.query(Query(sort="config.lr")).rows)
    assert up[:4] == [0.01, 0.1, 5, "auto"]
    assert up[4] != up[4]
    assert up[5] is None
    down = lrs(snapshot.query(Query(sort="-config.lr")).rows)
    assert down[1:] == ["auto", 5, 0.1, 0.01, None]


def test_order_by_a_column_puts_empty_ones_last(snapshot: Snapshot) -> None:
    """A row without a duration is last, ascending and descending."""
    assert snapshot.query(Query(sort="duration_s")).rows[0].duration_s == 30
    assert snapshot.query(Query(sort="duration_s")).rows[-1].duration_s is None
    assert snapshot.query(Query(sort="-duration_s")).rows[-1].duration_s is None


def test_pages_cut_the_list(snapshot: Snapshot) -> None:
    """Pages put together are the list, and a page beyond the end is empty."""
    pages = [snapshot.query(Query(offset=n, limit=4)) for n in (0, 4, 8)]
    assert [len(page.rows) for page in pages] == [4, 2, 0]
    assert [page.total for page in pages] == [6, 6, 6]
    assert pages[0].rows + pages[1].rows == snapshot.query().rows


@pytest.mark.parametrize(
    "query",
    [
        Query(result_status=("done",)),
        Query(attempt_status=("absent",)),
        Query(sort="color"),
        Query(sort="config."),
        Query(limit=0),
        Query(offset=-1),
        Query(config="lr<"),
    ],
)
def test_values_that_are_not_allowed_are_refused(snapshot: Snapshot, query: Query) -> None:
    """A query that makes no sense is an error, not an empty list."""
    with pytest.raises(HuldraQueryError):
        snapshot.query(query)


def test_lookups(snapshot: Snapshot) -> None:
    """A key finds its row, a hash its beginning's, and nothing nothing."""
    row = snapshot.rows[0]
    assert snapshot.get(row.key) is row
    assert snapshot.get("none/none") is None
    assert snapshot.by_hash(row.digest[:10]) == (row,)
    assert snapshot.by_hash("") == ()


def test_stats_count_everything_once(snapshot: Snapshot) -> None:
    """The totals of each kind add up to all artifacts."""
    stats = snapshot.stats()
    assert stats.total == 6
    assert stats.by_result_status == {"success": 2, "failed": 1, "incomplete": 3}
    assert stats.by_attempt_status == {
        "success": 2,
        "failed": 1,
        "running": 1,
        "stale": 1,
        "queued": 1,
    }
    assert stats.by_namespace["proj.models/Train"] == {"success": 1, "failed": 1, "running": 1}
    assert sum(stats.by_backend.values()) == sum(stats.by_user.values()) == 6
    assert snapshot.stats(snapshot.rows[:2]).total == 2


def test_fields_that_vary_are_found(snapshot: Snapshot) -> None:
    """The fields that tell rows apart are those whose values differ or are missing in some."""
    rows = snapshot.matching(Query(namespace=("proj.models/Train",)))
    assert snapshot.config_fields(rows) == ("data.name", "lr", "opt.name")
    assert snapshot.config_fields(rows, depth=0) == ("data", "lr", "opt.name")
    assert snapshot.varying_fields(rows) == ("data.name", "lr", "opt.name")
    assert snapshot.varying_fields(rows[:1]) == ()
    with_data = next(row for row in rows if row.dependencies)
    assert snapshot.config_value(with_data, "data.name") == "toy"
    assert snapshot.config_value(with_data, "nothing.there") is None


def test_text_finds_names_of_sweeps_and_config_values(
    writer: StoreWriter, catalog: Catalog
) -> None:
    """A member is found by its name, and an artifact by a value; the names of fields tell none."""
    one = writer.add("proj.models/Train", {"flavour": "Vanilla", "opt": {"momentum": 0.125}})
    two = writer.add("proj.models/Train", {"flavour": "plain"})
    writer.add_run("Sweep", {"wide_best": two}, {two: ()})

    def found(text: str) -> set[str]:
        return {row.key for row in catalog.snapshot().query(Query(text=text)).rows}

    assert found("wide_b") == {two}
    assert found("vanil") == {one}
    assert found("0.125") == {one}
    assert found("flavour") == found("momentum") == set()


def test_fields_are_worked_out_again_only_where_a_config_changed(
    writer: StoreWriter, catalog: Catalog
) -> None:
    """Filters and orders by a field agree with the store as it changes, into nested artifacts."""
    data = [writer.add("proj.data/Data", {"name": name}) for name in ("toy", "wiki")]
    made = [
        writer.add("proj.models/Train", {"lr": n / 10, "data": {"$ref": data[n % 2]}})
        for n in range(4)
    ]

    def found(config: str) -> list[str]:
        query = Query(config=config, sort="-config.lr")
        return [row.key for row in catalog.snapshot(max_age_s=0).query(query).rows]

    assert found("data.name=toy lr<0.25") == [made[2], made[0]]
    late = writer.add("proj.models/Train", {"lr": 0.15, "data": {"$ref": data[0]}})
    assert found("data.name=toy lr<0.25") == [made[2], late, made[0]]
    writer.add("proj.models/Train", {"lr": 0.15, "data": {"$ref": data[0]}}, status="failed")
    assert found("data.name=toy lr<0.25") == [made[2], late, made[0]]
    shutil.rmtree(writer.directory(data[0]))
    assert found("data.name=toy lr<0.25") == []
    assert found("lr=0.15") == [late]
