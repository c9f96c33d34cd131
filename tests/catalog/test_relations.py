"""Who needs whom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from huldra.catalog import Catalog, Dependency, Query, Row, Snapshot
from tests.dashboard.store import StoreWriter, ref


@dataclass(frozen=True)
class Family:
    """Keys of a small pipeline: data → model a, model b → report."""

    data: str
    model_a: str
    model_b: str
    report: str


@pytest.fixture
def family(writer: StoreWriter) -> Family:
    """A diamond, with dependencies in fields, lists and dicts."""
    data = writer.add("p/Data", {"n": 1})
    model_a = writer.add("p/Model", {"data": ref(data), "lr": 1}, status="failed")
    model_b = writer.add("p/Model", {"data": ref(data), "lr": 2})
    report = writer.add(
        "p/Report",
        {"models": [ref(model_a), ref(model_b)], "extra": {"base": ref(data)}},
        status="failed",
        failed_key=model_a,
    )
    return Family(data, model_a, model_b, report)


def row_of(snapshot: Snapshot, key: str) -> Row:
    row = snapshot.get(key)
    assert row is not None
    return row


def test_relations_go_both_ways(catalog: Catalog, family: Family) -> None:
    """Dependencies are known by field, lists and dicts included, and so are dependents."""
    snapshot = catalog.snapshot()
    report = snapshot.relationships(row_of(snapshot, family.report))
    assert [(r.field, r.key) for r in report.dependencies] == [
        ("models[0]", family.model_a),
        ("models[1]", family.model_b),
        ("extra.base", family.data),
    ]
    assert report.dependents == ()
    data = snapshot.relationships(row_of(snapshot, family.data))
    assert {(r.field, r.key) for r in data.dependents} == {
        ("data", family.model_a),
        ("data", family.model_b),
        ("extra.base", family.report),
    }


def test_a_dependency_that_is_gone_has_no_row(writer: StoreWriter, catalog: Catalog) -> None:
    """A removed dependency is still named, without a row."""
    gone = f"p/Data/{'0' * 32}"
    key = writer.add("p/Model", {"data": ref(gone)})
    snapshot = catalog.snapshot()
    (relation,) = snapshot.relationships(row_of(snapshot, key)).dependencies
    assert (relation.key, relation.row) == (gone, None)


def test_the_class_graph_counts(catalog: Catalog, family: Family) -> None:
    """Classes have their artifacts by status, edges the fields and how many use them."""
    graph = catalog.snapshot().class_graph()
    assert [(n.namespace, n.total, dict(n.counts)) for n in graph.nodes] == [
        ("p/Data", 1, {"success": 1}),
        ("p/Model", 2, {"failed": 1, "success": 1}),
        ("p/Report", 1, {"failed": 1}),
    ]
    assert [(e.dependency, e.dependent, e.fields, e.count) for e in graph.edges] == [
        ("p/Data", "p/Model", ("data",), 2),
        ("p/Data", "p/Report", ("extra.base",), 1),
        ("p/Model", "p/Report", ("models[]",), 1),
    ]


def test_the_neighbourhood_of_a_diamond(catalog: Catalog, family: Family) -> None:
    """All within the depth, with signed distances and every edge between them."""
    snapshot = catalog.snapshot()
    near = snapshot.neighbourhood(row_of(snapshot, family.model_a))
    assert {n.key: n.distance for n in near.nodes} == {
        family.model_a: 0,
        family.data: -1,
        family.report: 1,
    }
    assert len(near.edges) == 3
    assert near.hidden == 0
    alone = snapshot.neighbourhood(row_of(snapshot, family.model_a), up=0, down=0)
    assert [n.key for n in alone.nodes] == [family.model_a]


def test_many_siblings_are_folded(writer: StoreWriter, catalog: Catalog) -> None:
    """More siblings than fit become one node that stands for the rest; failures stay."""
    data = writer.add("p/Data", {})
    for n in range(40):
        writer.add("p/Model", {"data": ref(data), "n": n})
    failed = writer.add("p/Model", {"data": ref(data), "n": 40}, status="failed")
    snapshot = catalog.snapshot()
    near = snapshot.neighbourhood(row_of(snapshot, data), fold_over=10)
    folds = [n for n in near.nodes if n.folded]
    assert len(near.nodes) == 1 + 10 + 1
    assert [(n.namespace, n.folded, n.distance, n.row) for n in folds] == [("p/Model", 31, 1, None)]
    assert near.hidden == 31
    assert failed in {n.key for n in near.nodes}
    assert (data, folds[0].key) in {(e.dependency, e.dependent) for e in near.edges}


def test_a_neighbourhood_is_bounded(writer: StoreWriter, catalog: Catalog) -> None:
    """However many classes there are, there are no more nodes than asked for, plus folds."""
    data = writer.add("p/Data", {})
    for n in range(30):
        for m in range(5):
            writer.add(f"p/Model{n}", {"data": ref(data), "m": m})
    snapshot = catalog.snapshot()
    near = snapshot.neighbourhood(row_of(snapshot, data), max_nodes=20)
    assert sum(not n.folded for n in near.nodes) <= 20
    assert sum(n.folded or 1 for n in near.nodes) == 151


def test_a_cycle_in_the_store_is_no_endless_walk(writer: StoreWriter, catalog: Catalog) -> None:
    """Metadata that claims a cycle (a lie on disk) does not hang anybody."""
    one, other = f"p/A/{'1' * 32}", f"p/A/{'2' * 32}"
    writer.add("p/A", {"x": ref(other)}, digest="1" * 32, status="failed")
    writer.add("p/A", {"x": ref(one)}, digest="2" * 32, status="failed")
    snapshot = catalog.snapshot()
    row = row_of(snapshot, one)
    assert len(snapshot.neighbourhood(row, up=9, down=9).nodes) == 2
    assert [r.key for r in snapshot.blocked_by(row)] == [other]


def test_a_long_chain_does_not_recurse() -> None:
    """What blocks the end of a chain of 5,000 is found, and so is its neighbourhood."""
    digests = [f"{n:032x}" for n in range(5000)]
    rows = [
        Row(
            "/r",
            "p/A",
            digest,
            False,
            dependencies=tuple(
                Dependency("x", "p/A", before) for before in digests[max(0, n - 1) : n]
            ),
        )
        for n, digest in enumerate(digests)
    ]
    snapshot = Snapshot(tuple(rows), datetime.now(UTC), 0.0, 0, 1)
    assert len(snapshot.blocked_by(rows[-1])) == 4999
    near = snapshot.neighbourhood(rows[-1], up=9000, down=0, max_nodes=9000)
    assert len(near.nodes) == 5000


def test_what_blocks_is_the_unmade_upstream(catalog: Catalog, family: Family) -> None:
    """Only upstream artifacts that are not made block."""
    snapshot = catalog.snapshot()
    blocking = snapshot.blocked_by(row_of(snapshot, family.report))
    assert [row.key for row in blocking] == [family.model_a]


def test_failures_are_grouped_by_cause_and_place(
    writer: StoreWriter, catalog: Catalog, family: Family
) -> None:
    """The same error at the same place is one group, whoever's folder and line it was."""
    writer.add("p/Model", {"lr": 3}, status="failed", user="grace", host="node9", ago_s=10)
    writer.add("p/Model", {"lr": 4}, status="failed", error=("builtins.KeyError", "'x'"))
    writer.add("p/Model", {"lr": 5}, status="crashed")
    snapshot = catalog.snapshot()
    groups = snapshot.failures()
    assert [(g.error_type, g.place, g.count) for g in groups] == [
        ("builtins.ValueError", "my_project/p.py:_step", 2),
        ("HuldraDependencyError", "p/Model", 1),
        ("builtins.KeyError", "my_project/p.py:_step", 1),
        ("crashed", "p/Model", 1),
    ]
    first = groups[0]
    assert "node9" in first.hostnames
    assert first.first_seen is not None
    assert first.last_seen is not None
    assert first.first_seen < first.last_seen
    page = snapshot.query(Query(failure_group=first.group_id))
    assert {row.key for row in page.rows} == {row.key for row in first.rows}
