"""The JSON API: the catalog over HTTP, read-only, beside the pages or alone.

Every answer below `/api` is JSON: 404 for what is not there, 422 for a question that is not
understood, 405 for another method than GET, 403 for a Host that this server is not known by, 500
for a store or a setting that cannot be read.
Times are ISO 8601 in UTC. NaN and infinities, which JSON has no numbers for, are the texts `"NaN"`,
`"Infinity"` and `"-Infinity"`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from datetime import datetime
from importlib import metadata
from typing import Any

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from huldra.catalog import LOGS, Catalog, Query, Relation, Row, Snapshot, measured, presentation
from huldra.catalog.filters import parse_filter
from huldra.catalog.progress import read_progress
from huldra.errors import HuldraError, HuldraQueryError
from huldra.provenance.command import shown_metadata

MAX_LIMIT = 1000
MAX_LINES = 10_000
MAX_LOG_BYTES = 4 << 20
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")

CatalogSource = Callable[[], Catalog]
HostSource = Callable[[], Collection[str]]
Handler = Callable[[Request, Catalog], Any]

_FILTERS = frozenset(
    {
        *("result_status", "attempt_status", "namespace", "backend", "hostname", "user", "root"),
        *("started_after", "started_before", "updated_after", "updated_before"),
        *("config_filter", "text", "failure_group"),
    }
)
_WINDOW = frozenset({"limit", "offset", "sort"})
_ZONE_AFTER_SPACE = re.compile(r" (?=\d\d:?\d\d$)")
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class _Anything(Convertor[str]):
    """The rest of a path, line ends too: Starlette's own `path` would leave those to the pages."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("anything", _Anything())


class JSONAnswer(Response):
    """A JSON body that any parser takes."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Encode `content` (dataclasses, times and all)."""
        text = json.dumps(presentation.plain(content), ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8", "replace")


# -------------------------------------------------------------------- routes


def routes(
    catalog: CatalogSource | None = None, allowed_hosts: HostSource | None = None
) -> list[BaseRoute]:
    """The routes below `/api`, the catch-all for unknown ones last.

    `catalog` and `allowed_hosts` are asked at each request; by default they are those of the
    pages. An empty `allowed_hosts` accepts any, as Streamlit does.
    """
    catalog = catalog or _catalog_of_the_pages
    hosts = allowed_hosts or _hosts_of_the_pages
    handlers: dict[str, Handler] = {
        "/api/health": _health,
        "/api/experiments": _experiments,
        "/api/experiments/{namespace:anything}/{digest}/relationships": _relationships,
        "/api/experiments/{namespace:anything}/{digest}/logs": _logs,
        "/api/experiments/{namespace:anything}/{digest}": _experiment,
        "/api/stats": _stats,
        "/api/dag": _dag,
        "/api/failures": _failures,
        "/api/sweeps": _sweeps,
        "/api/{rest:anything}": _unknown,
        "/api": _unknown,
    }
    return [
        Route(path, _answering(handler, catalog, hosts), methods=_METHODS)
        for path, handler in handlers.items()
    ]


def _catalog_of_the_pages() -> Catalog:
    from huldra_dashboard import source  # here: the API alone gets its catalog

    return source.catalog()


def _hosts_of_the_pages() -> Collection[str]:
    # Streamlit looks at the Host of WebSockets only; without this a foreign page that rebinds its
    # name to this machine could read every answer.
    from streamlit import config  # here: the API alone runs without Streamlit

    hosts: list[str] = config.get_option("server.allowedHosts") or []
    return hosts


def _answering(
    handler: Handler, catalog: CatalogSource, hosts: HostSource
) -> Callable[[Request], Response]:
    """An endpoint; not a coroutine, so that it runs in a thread and blocks no other request."""

    def endpoint(request: Request) -> Response:
        if not is_allowed(request.headers.get("host", ""), hosts()):
            return _problem(403, "this server is not known by that Host; see --allow-host")
        if request.method not in ("GET", "HEAD"):
            return _problem(405, f"{request.method} is not offered: the API only reads", "GET")
        try:
            return JSONAnswer(handler(request, catalog()))
        except HuldraQueryError as error:
            return _problem(422, str(error), field=getattr(error, "field", None))
        except LookupError as error:
            return _problem(404, str(error.args[0]) if error.args else "not found")
        except (HuldraError, OSError) as error:  # a bad setting, a disk that is gone
            return _problem(500, str(error))

    return endpoint


def _problem(
    status: int, message: str, allow: str | None = None, field: str | None = None
) -> JSONAnswer:
    body: dict[str, Any] = {"error": message}
    if field is not None:
        body["field"] = field
    return JSONAnswer(body, status, {"Allow": allow} if allow else None)


def is_allowed(host: str, allowed: Collection[str]) -> bool:
    """Return True if a Host header names one of `allowed`: ports ignored, `*` as usual."""
    if not allowed or "*" in allowed:
        return True
    name = re.sub(r":\d*$", "", host.strip().lower()).strip("[]")
    return any(
        name == one.lower() or (one.startswith("*.") and name.endswith(one[1:].lower()))
        for one in allowed
    )


# -------------------------------------------------------------------- handlers


def _unknown(request: Request, _catalog: Catalog) -> Any:
    raise LookupError(f"there is no {request.url.path}")


def _health(request: Request, catalog: Catalog) -> Any:
    _check_names(request, frozenset())
    snapshot = catalog.snapshot()
    return {
        "status": "ok",
        "version": _version(),
        "roots": catalog.roots,
        "artifacts": len(snapshot.rows),
        "unreadable": snapshot.stats().unreadable,
        "taken_at": snapshot.taken_at,
        "scan_s": round(snapshot.took_s, 4),
    }


def _version() -> str:
    try:
        return metadata.version("huldra")
    except metadata.PackageNotFoundError:
        return "unknown"


def _experiments(request: Request, catalog: Catalog) -> Any:
    _check_names(request, _FILTERS | _WINDOW)
    query = query_of(request)
    page = measured.page(catalog, catalog.snapshot(), query)
    return {
        "experiments": [experiment(row) for row in page.rows],
        "total": page.total,
        "limit": page.limit,
        "offset": page.offset,
    }


def _progress(row: Row) -> dict[str, float | None] | None:
    """How far a running artifact is, by its own reports; None where it made none."""
    found = read_progress(row.directory) if row.attempt_status == "running" else None
    if found is None:
        return None
    return {"step": found.step, "of": found.of, "remaining_s": found.remaining_s}


def _experiment(request: Request, catalog: Catalog) -> Any:
    _check_names(request, frozenset())
    detail = catalog.detail(_row(request, catalog.snapshot()))
    return {
        **experiment(detail.row),
        "config": detail.row.config,
        "metrics": catalog.metrics(detail.row).values,
        "progress": _progress(detail.row),
        "python_def": detail.python_def,
        "metadata": shown_metadata(detail.metadata),
        "state": detail.state,
        "attempts": [
            {**presentation.plain(one), "duration_s": one.duration_s} for one in detail.attempts
        ],
        "log_size": detail.log_size,
        "output_size": detail.output_size,
        "git_patch_size": detail.git_patch_size,
        "problems": detail.problems,
    }


def _relationships(request: Request, catalog: Catalog) -> Any:
    _check_names(request, frozenset())
    snapshot = catalog.snapshot()
    found = snapshot.relationships(_row(request, snapshot))
    return {
        "key": found.row.key,
        "dependencies": [_relation(one) for one in found.dependencies],
        "dependents": [_relation(one) for one in found.dependents],
    }


def _relation(relation: Relation) -> dict[str, Any]:
    namespace, _, digest = relation.key.rpartition("/")
    row = relation.row
    return {
        "field": relation.field,
        "namespace": namespace,
        "huldra_hash": digest,
        "result_status": row.result_status if row else "absent",
        "attempt_status": (row.attempt_status or None) if row else None,
    }


def _logs(request: Request, catalog: Catalog) -> Any:
    _check_names(request, frozenset({"lines", "offset", "which"}))
    row = _row(request, catalog.snapshot())
    which = request.query_params.get("which", "log")
    if which not in LOGS:
        raise HuldraQueryError(
            f"which {which!r} is none of {', '.join(LOGS)}", field="which", value=which
        )
    if "offset" in request.query_params:
        offset = _number(request, "offset", 0, 0, 1 << 62)
        text, after = catalog.log_from(row, offset, max_bytes=MAX_LOG_BYTES, which=which)
    else:
        lines = _number(request, "lines", 500, 1, MAX_LINES)
        text, after = catalog.log_from(row, -MAX_LOG_BYTES, max_bytes=MAX_LOG_BYTES, which=which)
        text = "".join(text.splitlines(keepends=True)[-lines:])
    return {"key": row.key, "log": text, "next_offset": after}


def _stats(request: Request, catalog: Catalog) -> Any:
    _check_names(request, _FILTERS)
    snapshot = catalog.snapshot()
    return snapshot.stats(_filtered(request, catalog, snapshot))


def _dag(request: Request, catalog: Catalog) -> Any:
    _check_names(request, _FILTERS)
    snapshot = catalog.snapshot()
    graph = snapshot.class_graph(_filtered(request, catalog, snapshot))
    return {
        "nodes": [
            {"id": node.namespace, "total": node.total, "counts": node.counts}
            for node in graph.nodes
        ],
        "edges": [
            {
                "source": edge.dependency,
                "target": edge.dependent,
                "fields": edge.fields,
                "count": edge.count,
            }
            for edge in graph.edges
        ],
    }


def _failures(request: Request, catalog: Catalog) -> Any:
    _check_names(request, _FILTERS)
    snapshot = catalog.snapshot()
    groups = snapshot.failures(_filtered(request, catalog, snapshot))
    return {
        "groups": [{**presentation.plain(g), "rows": [row.key for row in g.rows]} for g in groups]
    }


def _sweeps(request: Request, catalog: Catalog) -> Any:
    _check_names(request, frozenset())
    return {
        "sweeps": [
            {
                "run_id": sweep.run_id,
                "name": sweep.name,
                "module": sweep.module,
                "engine": sweep.engine,
                "created_at": sweep.created_at,
                "total": sweep.total,
                "done": sweep.done,
                "counts": sweep.counts,
                "eta_s": sweep.eta_s,
                "problem": sweep.problem or None,
            }
            for sweep in catalog.sweeps()
        ]
    }


def experiment(row: Row) -> dict[str, Any]:
    """A row as the API shows it; what the store does not say is null."""
    return {
        "namespace": row.namespace,
        "huldra_hash": row.digest,
        "class_name": row.class_name,
        "result_status": row.result_status,
        "attempt_status": row.attempt_status or None,
        "attempt_number": row.attempt_number or None,
        "stale_reason": row.stale_reason or None,
        "backend": row.backend or None,
        "hostname": row.hostname or None,
        "user": row.user or None,
        "pid": row.pid or None,
        "job_id": row.job_id or None,
        "run_id": row.run_id or None,
        "queued_at": row.queued_at,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "updated_at": row.updated_at,
        "heartbeat_at": row.heartbeat_at,
        "duration_s": row.duration_s,
        "error_type": row.error_type or None,
        "error_message": row.error_message or None,
        "failed_key": row.failed_key or None,
        "directory": row.directory,
        "version_controlled": row.version_controlled,
        "problem": row.problem or None,
    }


# -------------------------------------------------------------------- questions


def _row(request: Request, snapshot: Snapshot) -> Row:
    # The path is only ever looked up: it is never joined to a directory.
    key = f"{request.path_params['namespace']}/{request.path_params['digest']}"
    row = snapshot.get(key)
    if row is None:
        raise LookupError(f"there is no experiment {key}")
    return row


def _check_names(request: Request, allowed: frozenset[str]) -> None:
    for name in request.query_params:
        if name not in allowed:
            known = ", ".join(sorted(allowed)) or "none"
            raise _refusal(name, "", f"there is no parameter {name!r}; known here: {known}")


def _refusal(field: str, value: str, message: str) -> HuldraQueryError:
    return HuldraQueryError(message, field=field, value=value)


def _filtered(request: Request, catalog: Catalog, snapshot: Snapshot) -> tuple[Row, ...] | None:
    if not request.query_params:
        return None
    return measured.matching(catalog, snapshot, query_of(request))


def query_of(request: Request) -> Query:
    """The catalog's query of a request.

    Raises:
        HuldraQueryError: a parameter has a value that is not allowed.
    """
    parameters = request.query_params

    def choice(name: str) -> tuple[str, ...]:
        return tuple(value for value in parameters.getlist(name) if value)

    return Query(
        result_status=choice("result_status"),
        attempt_status=choice("attempt_status"),
        namespace=choice("namespace"),
        backend=choice("backend"),
        hostname=choice("hostname"),
        user=choice("user"),
        root=choice("root"),
        started_after=_time(request, "started_after"),
        started_before=_time(request, "started_before"),
        updated_after=_time(request, "updated_after"),
        updated_before=_time(request, "updated_before"),
        config=_config(parameters.getlist("config_filter")),
        text=parameters.get("text", ""),
        failure_group=parameters.get("failure_group", ""),
        sort=parameters.get("sort", "") or "-updated_at",
        offset=_number(request, "offset", 0, 0, 1 << 62),
        limit=_number(request, "limit", 100, 1, MAX_LIMIT),
    )


def _config(filters: list[str]) -> str:
    """All filters at once; each must be whole by itself."""
    filled = [text for text in filters if text.strip()]
    for text in filled:
        parse_filter(text)
    return filled[0] if len(filled) == 1 else " and ".join(f"({text})" for text in filled)


def _time(request: Request, name: str) -> datetime | None:
    text = request.query_params.get(name, "").strip()
    if not text:
        return None
    try:
        # A plus sign that was not escaped arrives as a space.
        return datetime.fromisoformat(_ZONE_AFTER_SPACE.sub("+", text))
    except ValueError as error:
        raise _refusal(name, text, f"{name} {text!r} is no ISO 8601 time") from error


def _number(request: Request, name: str, default: int, least: int, most: int) -> int:
    text = request.query_params.get(name, "").strip()
    if not text:
        return default
    if not re.fullmatch(r"-?[0-9]{1,18}", text) or not least <= int(text) <= most:
        raise _refusal(name, text, f"{name} {text!r} is no number from {least} to {most}")
    return int(text)
