"""The JSON API: its endpoints, filters, pages and refusals."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

pytest.importorskip("starlette", reason="the dashboard's libraries are not installed")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from huldra.catalog import Catalog, Row
from huldra_dashboard.api import is_allowed
from huldra_dashboard.serve import api_app
from tests.dashboard.api_client import Answer, ask
from tests.dashboard.store import StoreWriter, example_store, ref

ANYWHERE = ("localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> StoreWriter:
    """An example store, with a model that has all that the filters ask for."""
    writer = example_store(tmp_path_factory.mktemp("api") / "store", 120)
    data = writer.add("api.data/Data", {"name": "toy"}, ago_s=500)
    writer.add(
        "api.models/Train",
        {"lr": 0.125, "note": float("nan"), "data": ref(data)},
        backend="submitit",
        host="api-node",
        user="api-user",
        job_id="4711",
        ago_s=400,
        duration_s=10,
        log="".join(f"line {n}\n" for n in range(50)),
        output="printed\n",
    )
    return writer


@pytest.fixture(scope="module")
def app(store: StoreWriter) -> Starlette:
    """The API over the example store."""
    return api_app([str(store.root)], ANYWHERE)


@pytest.fixture(scope="module")
def model(store: StoreWriter) -> Row:
    """The model's row."""
    rows = Catalog([store.root]).snapshot().rows
    return next(row for row in rows if row.namespace == "api.models/Train")


def total(app: Starlette, query: str) -> int:
    answer = ask(app, f"/api/experiments?{query}")
    assert answer.status == 200, answer.body
    return int(answer.json["total"])


def test_health_tells_roots_and_count(app: Starlette, store: StoreWriter) -> None:
    """Health is ok, with the version, the roots and how many artifacts there are."""
    body = ask(app, "/api/health").json
    assert body["status"] == "ok"
    assert body["roots"] == [str(store.root)]
    assert body["artifacts"] == store.count
    assert body["version"]


def test_the_list_is_paged(app: Starlette, store: StoreWriter) -> None:
    """100 by default, and pages put together are the list without doubles."""
    first = ask(app, "/api/experiments").json
    assert (len(first["experiments"]), first["limit"], first["offset"]) == (100, 100, 0)
    assert first["total"] == store.count
    second = ask(app, "/api/experiments?limit=1000&offset=100").json
    hashes = {e["huldra_hash"] for e in first["experiments"] + second["experiments"]}
    assert len(hashes) == store.count
    assert ask(app, "/api/experiments?offset=99999").json["experiments"] == []


def test_the_newest_change_comes_first(app: Starlette) -> None:
    """Sorted by time of change, newest first, unless asked otherwise."""
    times = [e["updated_at"] for e in ask(app, "/api/experiments").json["experiments"]]
    assert times == sorted(times, reverse=True)
    body = ask(app, "/api/experiments?sort=namespace&limit=1000").json
    names = [e["namespace"] for e in body["experiments"]]
    assert names == sorted(names)


@pytest.mark.parametrize(
    "query",
    [
        "backend=submitit&namespace=api",
        "hostname=api-node",
        "user=api-user",
        "config_filter=lr%3D0.125",
        "config_filter=lr=0.125",
        "config_filter=lr<0.126&config_filter=lr>0.124",
        "config_filter=lr<0.126+and+lr>0.124",
        "config_filter=data.name%3Dtoy",
        "text=4711",
        "namespace=api&user=api-user&result_status=success&attempt_status=success",
    ],
)
def test_each_filter_finds_the_model(app: Starlette, query: str) -> None:
    """Every filter alone finds the one artifact that has it."""
    body = ask(app, f"/api/experiments?{query}").json
    assert [e["namespace"] for e in body["experiments"]] == ["api.models/Train"], query


def test_namespace_is_a_prefix(app: Starlette) -> None:
    """A module, a part of it and a whole name select; half a word does not."""
    assert total(app, "namespace=api") == 2
    assert total(app, "namespace=api.models") == 1
    assert total(app, "namespace=api.models/Train") == 1
    assert total(app, "namespace=api.mod") == 0
    assert total(app, "namespace=api.models&namespace=api.data") == 2


def test_statuses_select(app: Starlette, store: StoreWriter) -> None:
    """Result statuses part the list, and a repeated one is a choice."""
    counts = [total(app, f"result_status={s}") for s in
              ("absent", "incomplete", "success", "failed")]  # fmt: skip
    assert sum(counts) == store.count
    assert total(app, "result_status=failed&result_status=success") == counts[2] + counts[3]
    assert total(app, "attempt_status=stale") > 0


def test_times_select(app: Starlette, store: StoreWriter) -> None:
    """Ranges take ISO 8601, with any zone, a plus sign that came unescaped, or none (UTC)."""
    at = store.now - timedelta(seconds=400)
    before, after = at - timedelta(seconds=1), at + timedelta(seconds=1)
    zone = "namespace=api"
    assert total(app, f"{zone}&started_after={quote(at.isoformat())}") == 1
    assert total(app, f"{zone}&started_after={at.isoformat()}") == 1
    assert total(app, f"{zone}&started_after={after.isoformat()}") == 0
    assert total(app, f"{zone}&started_after={at.replace(tzinfo=None).isoformat()}") == 1
    assert total(app, f"{zone}&started_before={before.isoformat()}") == 1
    assert total(app, f"{zone}&updated_after={quote(after.isoformat())}") == 1
    assert total(app, f"{zone}&updated_before=2020-01-01") == 0


def test_detail_has_config_metadata_and_attempts(app: Starlette, model: Row) -> None:
    """The detail holds the files as recorded, and NaN as text."""
    answer = ask(app, f"/api/experiments/{model.key}")
    body = answer.json
    assert answer.status == 200
    assert body["config"]["lr"] == 0.125
    assert body["config"]["note"] == "NaN"
    assert body["metadata"]["git_branch"] == "main"
    assert body["state"]["attempt"]["job_id"] == "4711"
    assert [a["status"] for a in body["attempts"]] == ["success"]
    assert body["attempts"][0]["duration_s"] == 10
    assert body["directory"] == model.directory


def test_relationships_go_both_ways(app: Starlette, model: Row) -> None:
    """A dependency is named by its field, and names its dependent back."""
    body = ask(app, f"/api/experiments/{model.key}/relationships").json
    (dependency,) = body["dependencies"]
    assert (dependency["field"], dependency["namespace"]) == ("data", "api.data/Data")
    assert dependency["result_status"] == "success"
    key = f"{dependency['namespace']}/{dependency['huldra_hash']}"
    back = ask(app, f"/api/experiments/{key}/relationships").json
    assert [d["huldra_hash"] for d in back["dependents"]] == [model.digest]


def test_logs_are_the_end_or_from_an_offset(app: Starlette, model: Row) -> None:
    """The last lines by default; an offset goes on where the last answer stopped."""
    url = f"/api/experiments/{model.key}/logs"
    body = ask(app, f"{url}?lines=2").json
    assert body["log"] == "line 48\nline 49\n"
    again = ask(app, f"{url}?offset={body['next_offset']}").json
    assert (again["log"], again["next_offset"]) == ("", body["next_offset"])
    assert ask(app, f"{url}?offset=0").json["log"].startswith("line 0\n")
    assert ask(app, f"{url}?which=output").json["log"] == "printed\n"
    assert ask(app, f"{url}?which=else").status == 422
    assert ask(app, f"{url}?lines=0").status == 422


def test_stats_and_dag_are_totals(app: Starlette, store: StoreWriter) -> None:
    """Stats count all; the graph has classes with counts and edges with fields; both filter."""
    stats = ask(app, "/api/stats").json
    assert stats["total"] == store.count
    assert sum(stats["by_result_status"].values()) == store.count
    dag = ask(app, "/api/dag").json
    assert {"source": "api.data/Data", "target": "api.models/Train", "fields": ["data"],
            "count": 1} in dag["edges"]  # fmt: skip
    assert sum(node["total"] for node in dag["nodes"]) == store.count
    assert ask(app, "/api/stats?namespace=api").json["total"] == 2
    assert len(ask(app, "/api/dag?namespace=api").json["nodes"]) == 2


def test_failures_and_sweeps_are_listed(app: Starlette) -> None:
    """Groups of failures with their keys, and recorded runs with their progress."""
    groups = ask(app, "/api/failures").json["groups"]
    assert groups[0]["count"] == len(groups[0]["rows"])
    group = groups[0]["group_id"]
    assert total(app, f"failure_group={group}") == groups[0]["count"]
    sweeps = ask(app, "/api/sweeps").json["sweeps"]
    assert {s["name"] for s in sweeps} == {"WideSweep", "Evaluations", "Baselines"}
    assert all(sum(s["counts"].values()) == s["total"] for s in sweeps)


@pytest.mark.parametrize(
    "url",
    [
        "/api",
        "/api/",
        "/api/nothing",
        "/api/experiments/x",
        "/api/experiments/a.b/C/0123",
        "/api/experiments/a.b/C/0123/relationships",
        "/api/experiments/a.b/C/0123/logs",
        "/api/experiments/../../etc/passwd",
        "/api/experiments/%2e%2e/%2e%2e/etc/passwd",
        "/api/experiments/a.b/C/%00",
        "/api/health/x",
    ],
)
def test_what_is_not_there_is_404_as_json(app: Starlette, url: str) -> None:
    """Unknown paths and artifacts are JSON, never a page, and open no file."""
    answer = ask(app, url)
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["error"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("limit=1e2", "limit"),
        ("offset=-1", "offset"),
        ("offset=99999999999999999999999", "offset"),
        ("result_status=done", "result_status"),
        ("attempt_status=success&attempt_status=x", "attempt_status"),
        ("started_after=yesterday", "started_after"),
        ("updated_before=2026-13-01", "updated_before"),
        ("config_filter=lr", "config"),
        ("config_filter=lr=1)+or+(lr=2", "config"),
        ("sort=color", "sort"),
        ("colour=red", "colour"),
    ],
)
def test_what_is_not_understood_is_422_as_json(app: Starlette, query: str, field: str) -> None:
    """A bad value, and a parameter that does not exist, are named."""
    answer = ask(app, f"/api/experiments?{query}")
    assert answer.status == 422
    assert answer.json["field"] == field


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_only_reading_is_offered(app: Starlette, method: str) -> None:
    """Any other method than GET is 405, as JSON, with what is allowed."""
    answer = ask(app, "/api/experiments", method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET")
    assert answer.json["error"]


def test_head_has_no_body_of_another_length(app: Starlette) -> None:
    """HEAD answers like GET."""
    assert ask(app, "/api/health", "HEAD").status == 200


def test_a_foreign_host_is_refused(app: Starlette) -> None:
    """A page that rebinds its name to this machine reads nothing."""
    assert ask(app, "/api/health", host="evil.example").status == 403
    assert ask(app, "/api/health", host="localhost:8501").status == 200


def test_hosts_are_compared_by_name() -> None:
    """Ports do not matter, wildcards and IPv6 work, an empty list allows any."""
    assert is_allowed("LOCALHOST:80", ["localhost"])
    assert is_allowed("[::1]:80", ["::1"])
    assert is_allowed("a.b.org", ["*.b.org"])
    assert is_allowed("any", [])
    assert is_allowed("any", ["*"])
    assert not is_allowed("localhost.evil", ["localhost"])
    assert not is_allowed("b.org", ["*.b.org"])
    assert not is_allowed("", ["localhost"])


def test_answers_carry_the_security_headers(app: Starlette) -> None:
    """No sniffing, no framing, no loading from elsewhere, on errors too."""
    for url in ("/api/health", "/api/nothing"):
        headers = ask(app, url).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in headers["content-security-policy"]


def test_a_hostile_store_is_answered_as_json(tmp_path: Path) -> None:
    """Markup, control characters, surrogates and broken files come out as strict JSON."""
    writer = StoreWriter(tmp_path)
    evil = '<script>alert(1)</script>\u202e\0\x1b[31m"\\\ud800'
    key = writer.add(
        "evil.mod/Cls", {"x": evil, "big": 10**300, "inf": float("inf")}, status="failed",
        error=(evil, evil), user=evil, host=evil, log=evil.replace("\ud800", "")
    )  # fmt: skip
    broken = writer.add("evil.mod/Cls", {"n": 2})
    for name in ("metadata.json", "state.json", "SUCCESS.json"):
        (writer.directory(broken) / ".huldra" / name).write_bytes(b'{"a": \xff')
    app = api_app([str(tmp_path)], ANYWHERE)
    assert len(ask(app, "/api/experiments").json["experiments"]) == 2
    for url in (key, broken):
        for rest in ("", "/relationships", "/logs"):
            assert ask(app, f"/api/experiments/{url}{rest}").status == 200
    assert ask(app, f"/api/experiments/{broken}").json["problems"]
    assert ask(app, "/api/failures").json["groups"]
    assert ask(app, "/api/health").json["unreadable"] == 1


_names = st.sampled_from(
    ["limit", "offset", "sort", "result_status", "attempt_status", "namespace", "backend",
     "hostname", "user", "root", "started_after", "updated_before", "config_filter", "text",
     "failure_group", "lines", "x"]
)  # fmt: skip
_values = st.text(max_size=20) | st.sampled_from(
    ["1", "-1", "failed", "2026-01-01", "lr<1", "config.lr", "-updated_at", "", "%00", "NaN"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    path=st.sampled_from(
        ["experiments", "stats", "dag", "failures", "health", "sweeps", "experiments/a/b/c/logs"]
    ),
    pairs=st.lists(st.tuples(_names, _values), max_size=4),
    escape=st.booleans(),
)
def test_any_query_string_is_answered(
    app: Starlette, path: str, pairs: list[tuple[str, str]], escape: bool
) -> None:
    """Whatever is asked, the answer is JSON: found, not found or not understood."""
    query = "&".join(
        f"{name}={quote(value.encode('utf-8', 'replace')) if escape else value}"
        for name, value in pairs
    )
    answer: Answer = ask(app, f"/api/{path}?{query}")
    assert answer.status in (200, 404, 422)
    assert isinstance(answer.json, dict)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(path=st.text(max_size=30) | st.text("./%0ae/experiments", max_size=30))
def test_any_path_is_answered(app: Starlette, path: str) -> None:
    """No path below /api is an error of the server, or anything but JSON."""
    answer = ask(app, "/api/experiments/" + quote(path.encode("utf-8", "replace")))
    assert answer.status in (200, 404, 422)
    assert isinstance(json.loads(answer.body), dict)
