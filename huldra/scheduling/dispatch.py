"""Handing a graph to an engine: checked as a whole, queued on disk, then sent.

    compile → plan → check → queue each node → run record → submit

Nothing is sent before the engine has agreed to all of it. Each node is queued on disk before it is
sent, so that no process sends it a second time; each job's id is on disk before `submit` returns.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from huldra.attempts import context, heartbeat, signals
from huldra.attempts.attempt import is_valid
from huldra.attempts.heartbeat import QueueRenewal
from huldra.config import documents
from huldra.config.config_object import ConfigObject
from huldra.config.hashing import key_of, namespace_of
from huldra.engines import registry
from huldra.engines.protocol import (
    PAYLOAD_PROTOCOL,
    Executor,
    Refusal,
    Task,
    TaskGraph,
    optional_method,
)
from huldra.engines.release import release_unsent
from huldra.engines.resources import Resources
from huldra.errors import HuldraClassError, HuldraRefused, HuldraSubmitError
from huldra.logs.capture import get_logger
from huldra.provenance import code_store
from huldra.provenance.command import command_line
from huldra.provenance.metadata import working_directory
from huldra.provenance.sources import Code, this_code
from huldra.scheduling import in_process, run_record
from huldra.scheduling.freezing import frozen_code
from huldra.scheduling.job import Job
from huldra.scheduling.planning import NodeStatus, Plan, PlannedNode, make_plan
from huldra.scheduling.queueing import RunEnqueuer
from huldra.scheduling.sending import one_at_a_time
from huldra.settings import HULDRA_CONFIG
from huldra.store import artifact, claim, success
from huldra.store.job_ref import JobRef, task_name
from huldra.store.layout import ArtifactPaths, StorePaths
from huldra.store.location import prepare_artifact, prepare_root
from huldra.store.overlap import Overlap
from huldra.store.process import Owner, new_owner
from huldra.store.records import Attempt, AttemptStatus, Claim, Lease

_BINDING_PAUSE_S = 0.5  # for which jobs that their hints find may wait to be recorded together


@dataclass(slots=True)
class _Dispatch:
    """One dispatch on its way: what was planned, queued and sent so far."""

    executor: Executor
    members: Mapping[str, Any]
    name: str
    module: str
    plan: Plan
    run_id: str
    owner: Owner
    code: Code
    class_code: dict[str, Any] = field(default_factory=dict)
    frozen: list[dict[str, Any]] = field(default_factory=list)
    named_job: JobRef | None = None
    binds_jobs: bool = False
    queued: dict[str, Claim] = field(default_factory=dict)
    elsewhere: dict[str, Attempt | None] = field(default_factory=dict)
    sent: dict[str, JobRef] = field(default_factory=dict)
    renewal: QueueRenewal | None = None


def dispatch(
    members: Mapping[str, Any], wanted: object, *, name: str = "", module: str = ""
) -> dict[str, Job[Any]]:
    """Send what `members` lack to the `wanted` engine, as one graph; a job for each member.

    Never waits for a `_create`. Members that are made give jobs that are done; what is in flight
    elsewhere is attached to. Raises `HuldraRefused` before anything is sent, `HuldraSubmitError`
    when the engine failed half-way: then what was not sent is free again.
    """
    graph = in_process.graph_of(list(members.values()))
    if not graph.missing():  # then no engine is started for it, though its name is looked at
        registry.refuse_unknown(wanted)
        return {name: Job(obj, None, None) for name, obj in members.items()}
    executor = registry.resolve(wanted)
    if context.is_making():
        for node in graph.nodes.values():
            context.refuse_cycle(node.key, node.paths)
    plan = make_plan(graph)
    owner = new_owner(executor.name)
    code = _code_of(plan)
    work = _Dispatch(executor, members, name, module, plan, _new_run_id(), owner, code)
    if plan.to_run:
        with one_at_a_time(executor):
            _send(work)
    return {name: _job_of(work, obj) for name, obj in members.items()}


_warned_of: dict[str, str] = {}


def _code_of(plan: Plan) -> Code:
    """The code that workers are to have; what this process has otherwise in memory is said once."""
    code = this_code(type(node.node.obj) for node in plan.nodes.values())
    digests = {source.file: source.digest for source in code.sources.values()}
    for file in code.edited:
        if _warned_of.get(file) != digests[file]:
            _warned_of[file] = digests[file]
            get_logger().warning(
                "%s was edited after this process imported it; workers import the new version."
                " Reload the module or restart this process to run the same code",
                file,
            )
    return code


def _new_run_id() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.urandom(5).hex()}"


def _send(work: _Dispatch) -> None:
    resources = {node.key: resources_of(node.node.obj) for node in work.plan.to_run}
    draft = _task_graph(work, work.plan.to_run, resources)
    _refuse(work.executor, draft)
    work.class_code = _class_code(work.plan)
    work.frozen = frozen_code(work.code, work.executor.capabilities)
    claim.register(work.owner)
    try:
        _queue_all(work, draft)
        if work.queued:
            _write_run_record(work)
            ready = [node for node in work.plan.to_run if node.key in work.queued]
            # The draft stands where every node is ours under the number that it was drafted with.
            final = _task_graph(work, ready, resources) if work.elsewhere else draft
            _submit(work, replace(final, named_job=work.named_job))
    except BaseException as error:
        with signals.guarded():  # a second Ctrl-C comes when all is free
            _free_unsent(work, error)
        raise
    finally:
        if work.renewal is not None:
            work.renewal.is_over = partial(_are_over, work.executor, list(work.sent.values()))


def _are_over(executor: Executor, refs: list[JobRef]) -> bool:
    return all(status.is_over for status in executor.status(refs).values())


def resources_of(obj: ConfigObject) -> Resources:
    """What the class of `obj`, or its method, says that one node needs."""
    declared = obj._resources  # noqa: SLF001  part of the protocol of a Huldra class
    value = declared() if callable(declared) else declared
    if value is None:
        return Resources()
    if not isinstance(value, Resources):
        raise HuldraClassError(
            f"{type(obj).__module__}.{type(obj).__qualname__}._resources is {value!r}; expected"
            " huldra.Resources(...), a method that returns one, or None"
        )
    return value


def _refuse(executor: Executor, graph: TaskGraph) -> None:
    refusals: list[Refusal] = executor.check(graph)
    if refusals:
        lines = "\n  ".join(str(refusal) for refusal in refusals[:20])
        more = f"\n  and {len(refusals) - 20} more" if len(refusals) > 20 else ""
        raise HuldraRefused(
            f"{executor.name} cannot run this graph; nothing was submitted:\n  {lines}{more}",
            refusals=tuple(refusals),
        )


def _task_graph(
    work: _Dispatch, nodes: list[PlannedNode], resources: Mapping[str, Resources]
) -> TaskGraph:
    root = HULDRA_CONFIG.root
    run_path = StorePaths(root).run_record(work.run_id)
    included = {node.key for node in nodes}
    words = {
        "protocol": PAYLOAD_PROTOCOL,
        "run": run_path,
        "engine": work.executor.name,
        "code": work.code.digest,
    }
    head = json.dumps(words).removesuffix("}")
    return TaskGraph(
        run_id=work.run_id,
        run_path=run_path,
        root=root,
        tasks={node.key: _task(work, node, included, resources[node.key], head) for node in nodes},
        preempt_max=HULDRA_CONFIG.preempt_max,
    )


def _task(
    work: _Dispatch,
    node: PlannedNode,
    included: set[str],
    resources: Resources,
    payload_head: str,
) -> Task:
    number = work.queued[node.key].number if node.key in work.queued else _next_number(node)
    more: dict[str, Any] = {"key": node.key}
    if resources.retry is not None:
        more["more_tries"] = resources.retry.max_tries - 1
    return Task(
        key=node.key,
        task_name=task_name(node.key, number),
        label=type(node.node.obj).__name__,
        payload=f"{payload_head}, {json.dumps(more)[1:]}",
        directory=node.paths.directory,
        log_path=node.paths.log,
        needs=node.node.needs,
        after=tuple(key for key in node.node.needs if key in included),
        after_jobs=tuple(_jobs_in_flight(work, node)) if node.node.needs else (),
        resources=resources,
    )


def _next_number(node: PlannedNode) -> int:
    return node.attempt.number + 1 if node.attempt else 1


def _jobs_in_flight(work: _Dispatch, node: PlannedNode) -> list[JobRef]:
    attempts = [
        work.elsewhere.get(key) or work.plan.nodes[key].attempt
        for key in node.node.needs
        if key in work.elsewhere or work.plan.nodes[key].status is NodeStatus.IN_FLIGHT
    ]
    return [attempt.ref for attempt in attempts if attempt is not None and attempt.ref is not None]


def _queue_all(work: _Dispatch, draft: TaskGraph) -> None:
    """Claim each node for this run; who was faster with one keeps it, and it is attached to."""
    prepare_root()
    hints = optional_method(work.executor, "recovery_hints")
    recovery_hints: Mapping[str, Any] = hints(draft) if hints is not None else {}
    queue = _open_queue(work, draft)
    overlap = Overlap()
    made = _made_meanwhile(work.plan, overlap)

    def queue_one(node: PlannedNode) -> None:
        mine = None
        if node.key not in made:
            prepare_artifact(node.node.obj, node.paths)
            mine = queue.add(node.paths, _next_number(node), recovery_hints.get(node.key))
        if mine is not None:
            work.queued[node.key] = mine
        else:
            work.elsewhere[node.key] = claim.last_attempt(node.paths)

    overlap.map(queue_one, work.plan.to_run)


def _made_meanwhile(plan: Plan, overlap: Overlap) -> set[str]:
    """The nodes made since the plan looked: another attempt would void what is good.

    Only the one that the plan saw open, or a late record of an earlier one, can have made them: a
    later attempt has the number that we would claim.
    """
    tried = [node for node in plan.to_run if node.attempt is not None]
    found: set[str] = set()
    for node, is_complete in zip(tried, overlap.map(_end_dead_attempt, tried), strict=True):
        if is_complete and is_valid(node.node.obj, node.key, node.paths):
            found.add(node.key)
    return found


def _end_dead_attempt(node: PlannedNode) -> bool:
    """End the attempt that the plan saw open; return True if the artifact is made by now."""
    if node.attempt is not None and node.attempt.end is None:
        dead = node.attempt.claim.owner  # else the node would not be planned to run
        claim.end_attempt(
            node.paths, node.attempt.number, AttemptStatus.CRASHED, new_owner(), of=dead
        )
    return success.is_complete(node.paths)


def _open_queue(work: _Dispatch, draft: TaskGraph) -> RunEnqueuer:
    """Take up what all nodes share; jobs that others can ask about are findable from now on."""
    job_template = optional_method(work.executor, "job_template")
    work.named_job = job_template(draft) if job_template is not None else None
    # A job that ends with this process is judged by this process; one that does not, or that others
    # can ask about, has to be findable from its record.
    can_find = work.executor.capabilities.finds_by_id
    work.binds_jobs = can_find and work.named_job is None
    folder = StorePaths(HULDRA_CONFIG.root).run_directory(work.run_id)
    findable = work.named_job if can_find else None
    lease = Lease(HULDRA_CONFIG.lease, HULDRA_CONFIG.heartbeat)
    ends_with_us = not work.binds_jobs and (findable is None or bool(findable.meta.get("driver")))
    queue = RunEnqueuer(
        folder,
        work.run_id,
        work.owner,
        findable,
        work.binds_jobs,
        lease if ends_with_us else None,
    )
    if ends_with_us:
        work.renewal = QueueRenewal(queue.leased, lease.heartbeat_s, lambda: False)
        heartbeat.start(work.renewal)
    return queue


def _write_run_record(work: _Dispatch) -> None:
    nodes = {key: work.plan.nodes[key] for key in work.queued}
    involved = dict.fromkeys(key for n in nodes.values() for key in (n.key, *n.node.needs))
    keys = {key.rpartition("/")[2]: key for key in nodes}
    dependents: dict[str, list[str]] = {}
    for key, node in nodes.items():
        for need in node.node.needs:
            if need in nodes:
                dependents.setdefault(need, []).append(key)

    def for_worker(ref: str) -> dict[str, Any] | None:
        """The record of a node, with all that its worker needs to know of other nodes."""
        if ref not in keys:
            return None
        node = nodes[keys[ref]]
        return {
            "key": node.key,
            **_node_record(work, node),
            "directories": {k: work.plan.nodes[k].paths.directory for k in node.node.needs},
            "dependents": dependents.get(node.key, []),
        }

    graph = {
        "name": work.name,
        "module": work.module,
        "members": {name: key_of(obj) for name, obj in work.members.items()},
        "directories": {key: work.plan.nodes[key].paths.directory for key in involved},
    }
    run_record.write(
        StorePaths(HULDRA_CONFIG.root),
        _facts(work),
        graph,
        ((k, {"config": k.rpartition("/")[2], **_node_record(work, n)}) for k, n in nodes.items()),
        for_worker,
        documents.iter_objects(node.node.obj for node in nodes.values()),
    )


def _facts(work: _Dispatch) -> dict[str, Any]:
    """What all nodes of a run have in common."""
    return {
        "huldra": 1,
        "run_id": work.run_id,
        "created_at": datetime.now(UTC).isoformat(),
        "engine": work.executor.name,
        "named_job": work.named_job.to_json() if work.named_job else None,
        "root": HULDRA_CONFIG.root,
        "settings": HULDRA_CONFIG.snapshot(),
        **work.code.to_json(),
        **({"frozen": work.frozen} if work.frozen else {}),
        "class_code": work.class_code,
        "cwd": working_directory(),
        "command": command_line(sys.orig_argv),
        "driver": work.owner.to_json(),
    }


def _class_code(plan: Plan) -> dict[str, Any]:
    """What is kept of the code of all classes that run; empty where that cannot be: a label."""
    classes = {type(node.node.obj) for node in plan.to_run}
    try:
        return code_store.keep_of_run({namespace_of(cls): cls for cls in classes})
    except Exception:  # noqa: BLE001  of whatever modules the user's process holds
        get_logger().debug("the code of the run could not be recorded", exc_info=True)
        return {}


def _node_record(work: _Dispatch, node: PlannedNode) -> dict[str, Any]:
    return {
        "directory": node.paths.directory,
        "claim": work.queued[node.key].number,
        "token": work.owner.token,
        "after": [need for need in node.node.needs if need in work.queued],
        "needs": list(node.node.needs),
    }


def _submit(work: _Dispatch, graph: TaskGraph) -> None:
    overlap = Overlap()
    unbound: list[tuple[str, JobRef]] = []
    bound_at = time.monotonic()

    def bind(sent: tuple[str, JobRef]) -> None:
        key, ref = sent
        paths = ArtifactPaths(graph.tasks[key].directory)
        mine = work.queued[key]
        claim.bind_job(paths, mine.number, ref)
        if not claim.has_ended(paths, mine.number):
            artifact.write_state(paths, Attempt(mine, None, ref))

    def bind_all() -> None:
        nonlocal bound_at
        some = unbound.copy()
        unbound.clear()
        overlap.map(bind, some)
        bound_at = time.monotonic()

    def on_submitted(key: str, ref: JobRef) -> None:
        work.sent[key] = ref
        if not work.binds_jobs:
            return
        unbound.append((key, ref))
        # A job that a crash would lose is recorded at once. One that its hint finds, too, is
        # recorded in a moment, together with the others of its array.
        is_findable = work.queued[key].job_hint is not None
        if not is_findable or time.monotonic() - bound_at > _BINDING_PAUSE_S:
            bind_all()

    try:
        work.executor.submit(graph, on_submitted)
    except BaseException:
        bind_all()  # of what the adapter could not take back
        raise
    try:
        bind_all()
    except BaseException:
        work.executor.cancel(list(work.sent.values()))
        raise


def _free_unsent(work: _Dispatch, error: BaseException) -> None:
    """End the queued attempts of what was not sent, so that the next call may send it."""
    # All that was to be queued is looked at, and not what we remember: Ctrl-C may have come between
    # a claim and our note of it, and an attempt of ours looks alive as long as this process lives.
    unsent = [
        node.paths
        for node in work.plan.to_run
        if node.key not in work.sent or isinstance(error, HuldraSubmitError)
    ]
    Overlap().map(lambda paths: release_unsent(paths, work.owner), unsent)


def _job_of(work: _Dispatch, obj: ConfigObject) -> Job[Any]:
    key = key_of(obj)
    if key in work.sent:
        return Job(obj, work.executor, work.sent[key])
    node = work.plan.nodes[key]
    attempt = work.elsewhere.get(key) or node.attempt
    if attempt is not None and attempt.ref is None:  # found by its hint while we planned, perhaps
        attempt = claim.read_attempt(node.paths, attempt.number)
    if node.status is NodeStatus.CACHED or attempt is None or attempt.ref is None:
        return Job(obj, None, None)
    same = attempt.ref.engine == work.executor.name and work.executor.capabilities.finds_by_id
    return Job(obj, work.executor if same else None, attempt.ref)
