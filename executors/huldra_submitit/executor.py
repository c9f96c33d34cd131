"""Graphs on a Slurm cluster: a few job arrays with the scheduler's own dependencies.

The driver writes manifests, calls `sbatch` once an array and may exit. All that it knows is on
disk before that: each node's queued record holds its hint of `recovery_hints`, so a job whose id
was never recorded is found by its name.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from huldra.engines.kit import (
    JobRef,
    OnSubmitted,
    Refusal,
    TaskGraph,
    get_logger,
    make_directories,
    refuse_by_capabilities,
    write_atomic,
)
from huldra.errors import HuldraExecutorError, HuldraSubmitError
from huldra_submitit import groups as arrays
from huldra_submitit import manifest as manifests
from huldra_submitit import parameters as params
from huldra_submitit.attached import CAPABILITIES, ENGINE, Attached
from huldra_submitit.commands import bucket_of
from huldra_submitit.groups import Group
from huldra_submitit.jobs import driver_record
from huldra_submitit.manifest import Manifest
from huldra_submitit.profile import defaults_from, lay_under
from huldra_submitit.sbatch import Sbatch
from huldra_submitit.script import render
from huldra_submitit.sharing import Sharing, limits_of
from huldra_submitit.site import Site, count_jobs, minutes, objections, site_of, user_name

FOLDER = "submitit"  # under the store's root: where logs go unless the user says otherwise

_REQUEST_OF = {
    "time": "time_min",
    "cpus_per_task": "cpus",
    "mem": "memory_gb",
    "gpus_per_node": "gpus",
}


@dataclass(frozen=True)
class _Sending:
    """One group on its way: all that is known before its id is born."""

    group: Group
    name: str
    folder: str
    manifest_path: str
    parameters: Mapping[str, Any]
    node_min: float | None  # what a job of one of its nodes would have for a time limit


class SubmititExecutor(Attached):
    """Sends graphs to Slurm through submitit.

    `base` gives the folder for logs and the default parameters: a submitit `AutoExecutor` or
    `SlurmExecutor` (never changed), a folder, or None for `<root>/submitit`. Keyword parameters
    are submitit's, with or without the prefix `slurm_`, and lie over those of `base`; `timeout_min`
    or `time_min`, `mem_gb`, `cpus`, `gpus` are understood too.

    Args:
        base: A submitit executor, a folder for logs, or None.
        by_class: Parameters for single classes, by `module/Class` or `Class`.
        array_parallelism: How many elements of one array may run at once.
        nodes_per_job: How many nodes of one kind a job runs, one after another on one warm worker;
            each has its own claim, log, limit and retries. A job's time limit is that of its nodes
            together. One node a job when neither this nor `minutes_per_job` is given.
        minutes_per_job: The time limit of a job, which runs as many nodes as fit in it by their
            `time_min`, or, without one, by what artifacts of their class took.
        max_submit_jobs: Refuse a graph that would bring the user above so many jobs in the queue;
            None takes the limit of the user's association, where the site shows one.
        submissions_per_s: How many `sbatch` calls a second at most, after a burst of 20.

    Raises:
        HuldraExecutorError: a parameter that submitit does not have.
        ValueError: `nodes_per_job` or `minutes_per_job` is not above 0.
        ImportError: submitit is not installed.
    """

    def __init__(
        self,
        base: Any = None,
        *,
        by_class: Mapping[str, Mapping[str, Any]] | None = None,
        array_parallelism: int | None = None,
        nodes_per_job: int | None = None,
        minutes_per_job: float | None = None,
        max_submit_jobs: int | None = None,
        submissions_per_s: float = 5.0,
        **parameters: Any,
    ) -> None:
        self._given = None if base is None or isinstance(base, str | os.PathLike) else unwrap(base)
        self._folder = os.fspath(base) if isinstance(base, str | os.PathLike) else None
        if array_parallelism is not None:
            parameters["slurm_array_parallelism"] = array_parallelism
        self._parameters = params.named_parameters(parameters)
        self._by_class = dict(by_class or {})
        self._sharing = Sharing(nodes_per_job, minutes_per_job)
        self._max_submit_jobs = max_submit_jobs
        self._submissions_per_s = submissions_per_s
        super().__init__()
        # From the hints to the submission of a run the groups must stay as they are named on disk.
        self._planned: dict[str, list[_Sending]] = {}
        self._refuse_unknown_parameters()

    def __repr__(self) -> str:
        return f"SubmititExecutor({self._base_folder('<root>')!r}, {self._parameters})"

    def check(self, graph: TaskGraph) -> list[Refusal]:
        """Name what Slurm, or this site, will not take; sends nothing.

        Compares with the largest node and the limits of the partition, and with the user's limit
        on submitted jobs, where the site shows them.
        """
        self._planned.pop(graph.run_id, None)
        refused = refuse_by_capabilities(graph, CAPABILITIES)
        valid = valid_parameters()
        for task in graph.tasks.values():
            refused += params.refuse_unknown(task, valid)
        refused += self._refuse_by_folder(graph)
        if refused:
            return refused
        refused = self._refuse_by_site(graph)
        if not refused:
            refused = [*self._refuse_by_time(graph), *self._refuse_by_count(graph)]
        if refused:
            self._planned.pop(graph.run_id, None)
        return refused

    def recovery_hints(self, graph: TaskGraph) -> Mapping[str, Mapping[str, Any]]:
        """By which each node's job can be found if its id is never recorded; JSON."""
        found, since, driver = {}, _now(), driver_record()
        for sending in self._plan(graph):
            meta = self._manifest(graph, sending).meta()
            shared = _shared(sending.group, graph)
            for index, key in enumerate(sending.group.keys):
                place = index // sending.group.per_job if sending.group.is_array else None
                more = {"index": place, "since": since, "driver": driver}
                found[key] = {**meta, **shared(index), **more}
        return found

    def submit(self, graph: TaskGraph, on_submitted: OnSubmitted) -> None:
        """Send the graph in a few arrays; never waits for a node to run.

        Raises:
            HuldraSubmitError: Slurm refused one of them. What was sent before is cancelled, and
                the message says so. It carries `key`, a node of the refused array, and `request`,
                the resource key that Slurm's words point to, if they do.
        """
        sendings = self._plan(graph)
        for sending in sendings:
            if not sending.group.present(graph):
                continue
            make_directories(sending.folder)
            manifests.write(sending.manifest_path, self._manifest(graph, sending))
        sbatch = Sbatch(self._slurm, bucket_of(self._slurm, self._submissions_per_s))
        ids: list[str] = []
        try:
            for sending in sendings:
                if not sending.group.present(graph):
                    ids.append("")
                    continue
                ids.append(self._send(sbatch, graph, sending, sendings, ids))
                self._report(graph, sending, ids[-1], on_submitted)
        except BaseException as error:
            what = sbatch.take_back([job_id for job_id in ids if job_id])
            if isinstance(error, HuldraSubmitError):
                raise _with_remark(error, what) from error
            get_logger().warning("the submission was interrupted: %s", what)
            raise
        finally:
            self._planned.pop(graph.run_id, None)

    def _base(self) -> params.Parameters:
        given = dict(self._given.parameters) if self._given is not None else {"time": None}
        return params.merge(given, self._parameters)

    def _base_folder(self, root: str) -> str:
        if self._given is not None:
            return independent_folder(str(self._given.folder))
        return os.path.abspath(self._folder) if self._folder else f"{root}/{FOLDER}"

    def _refuse_unknown_parameters(self) -> None:
        valid = valid_parameters()
        names = [*self._parameters, *(k for given in self._by_class.values() for k in given)]
        for name, why in params.unknown_keys(names, valid).items():
            raise HuldraExecutorError(f"SubmititExecutor({name}=...): {why}")

    def _plan(self, graph: TaskGraph) -> list[_Sending]:
        if graph.run_id in self._planned:
            return self._planned[graph.run_id]
        each = self._each_parameters(graph)
        counts = self._sharing.counts(graph)
        prints = {key: f"{counts[key]} {params.fingerprint(found)}" for key, found in each.items()}
        size = site_of(self._slurm).max_array_size
        sendings = [
            self._sending(graph, group, each[group.keys[0]])
            for group in arrays.group(graph, prints, size, counts.__getitem__)
        ]
        self._planned[graph.run_id] = sendings
        return sendings

    def _each_parameters(self, graph: TaskGraph) -> dict[str, params.Parameters]:
        base, profile = self._base(), defaults_from(os.environ)
        return {
            key: lay_under(profile, params.parameters_of(task, base, self._by_class))
            for key, task in graph.tasks.items()
        }

    def _sending(self, graph: TaskGraph, group: Group, each: params.Parameters) -> _Sending:
        parameters = self._sharing.parameters(each, group)
        theirs = str(parameters.get("job_name") or "")
        first = theirs if theirs not in ("", "submitit") else arrays.class_name(group.keys[0])
        name = arrays.job_name(first, graph.run_id, group)
        folder = self._base_folder(graph.root)
        if self._given is None or folder != str(self._given.folder):
            folder = f"{folder}/{name}"
        path = manifests.path_of(graph.run_path, group.digest())
        return _Sending(group, name, folder, path, parameters, minutes(each.get("time")))

    def _manifest(self, graph: TaskGraph, sending: _Sending) -> Manifest:
        keys = sending.group.keys
        return Manifest(
            name=sending.name,
            folder=sending.folder,
            keys=keys,
            payloads=tuple(_payload(graph, key) for key in keys),
            max_requeues=graph.preempt_max,
            timeout_min=minutes(sending.parameters.get("time")) or 0,
            cluster=site_of(self._slurm).cluster,
            conf=self._slurm.conf,
            user=user_name(),
            per_job=sending.group.per_job,
            limits=limits_of(graph, sending.group, sending.node_min),
        )

    def _send(
        self,
        sbatch: Sbatch,
        graph: TaskGraph,
        sending: _Sending,
        sendings: Sequence[_Sending],
        ids: Sequence[str],
    ) -> str:
        group = sending.group
        groups = [each.group for each in sendings]
        dependency = arrays.dependency_text(group, graph, groups, ids, ENGINE)
        asked, limit = params.array_limit(params.add_dependency(sending.parameters, dependency))
        if limit is not None:
            asked["array_parallelism"] = limit
        executor = self._given if self._given is not None else new_slurm_executor(sending.folder)
        text = render(
            executor,
            asked,
            name=sending.name,
            folder=sending.folder,
            manifest=sending.manifest_path,
            size=group.jobs,
            elements=group.elements(graph),
            max_requeues=graph.preempt_max,
        )
        path = f"{sending.folder}/{sending.name}.sh"
        write_atomic(path, text.encode())
        return sbatch.send(executor, path, sending.name, group.keys[0])

    def _report(
        self, graph: TaskGraph, sending: _Sending, job_id: str, on_submitted: OnSubmitted
    ) -> None:
        meta = self._manifest(graph, sending).meta()
        group = sending.group
        present = group.present(graph)
        ids = {i: f"{job_id}_{i // group.per_job}" if group.is_array else job_id for i in present}
        self._jobs().queue.watch(dict.fromkeys(ids.values()))
        shared = _shared(group, graph)
        for index, each in ids.items():
            on_submitted(group.keys[index], JobRef(ENGINE, each, {**meta, **shared(index)}))

    def _refuse_by_folder(self, graph: TaskGraph) -> list[Refusal]:
        folder = self._base_folder(graph.root)
        if "%" not in folder:
            return []
        reason = (
            f"the logs would go to {folder}, and Slurm and submitit read the % in it as a pattern;"
            " give another folder: SubmititExecutor('/a/folder') or HULDRA_SLURM_FOLDER"
        )
        return [Refusal(next(iter(graph.tasks), ""), "slurm_folder", reason)]

    def _refuse_by_site(self, graph: TaskGraph) -> list[Refusal]:
        site = site_of(self._slurm)
        refused, known = [], dict[str, list[tuple[str, str]]]()
        for key, asked in self._each_parameters(graph).items():
            mark = params.fingerprint(asked)
            if mark not in known:
                known[mark] = [*objections(asked, site), *_unmergeable(asked)]
            resources = graph.tasks[key].resources
            for parameter, reason in known[mark]:
                request = _REQUEST_OF.get(parameter, "")
                if not request or getattr(resources, request) is None:
                    request = params.PREFIX + parameter
                refused.append(Refusal(key, request, reason))
        return refused

    def _refuse_by_time(self, graph: TaskGraph) -> list[Refusal]:
        """Refuse jobs of many nodes that together take longer than the partition allows."""
        site = site_of(self._slurm)
        return [
            Refusal(sending.group.keys[0], "nodes_per_job", f"{reason}; put fewer into one job")
            for sending in self._plan(graph)
            if sending.group.per_job > 1
            for parameter, reason in objections(sending.parameters, site)
            if parameter == "time"
        ]

    def _refuse_by_count(self, graph: TaskGraph) -> list[Refusal]:
        site = site_of(self._slurm)
        count = sum(len(sending.group.elements(graph)) for sending in self._plan(graph))
        key = next(iter(graph.tasks), "")
        if site.max_job_count is not None and count > site.max_job_count:
            reason = (
                f"{count} jobs, but the controller holds {site.max_job_count} (MaxJobCount); put"
                " many nodes into one job (SubmititExecutor(nodes_per_job=...))"
            )
            return [Refusal(key, "jobs", reason)]
        limit = self._submit_limit(site)
        if limit is None:
            return []
        there = count_jobs(self._slurm)
        if there + count <= limit:
            return []
        reason = (
            f"{count} jobs on top of {there} in the queue make {there + count}, but at most {limit}"
            " may be submitted; put many nodes into one job (SubmititExecutor(nodes_per_job=...)),"
            " send parts of the list, or wait until some have ended"
        )
        return [Refusal(key, "jobs", reason)]

    def _submit_limit(self, site: Site) -> int | None:
        limits = [n for n in (self._max_submit_jobs, site.max_submit) if n is not None]
        return min(limits, default=None)


class SubmititAdapter(SubmititExecutor):
    """The earlier name for wrapping a submitit executor; `executor=` takes it without, too."""

    def __init__(self, executor: Any, **options: Any) -> None:
        super().__init__(executor, **options)


def _payload(graph: TaskGraph, key: str) -> str:
    return graph.tasks[key].payload if key in graph.tasks else ""


def _shared(group: Group, graph: TaskGraph) -> Callable[[int], dict[str, Any]]:
    """What a ref says of its job where that runs other nodes, too: how many, and which this is."""
    if group.per_job == 1:
        return lambda _: {}
    sizes = Counter(index // group.per_job for index in group.present(graph))
    return lambda index: {"shared": sizes[index // group.per_job], "at": index}


def _unmergeable(asked: Mapping[str, Any]) -> list[tuple[str, str]]:
    try:
        params.array_limit(params.add_dependency(asked, "afterany:1"))
    except ValueError as error:
        return [("dependency" if "dependency" in str(error) else "array", str(error))]
    return []


def _with_remark(error: HuldraSubmitError, remark: str) -> HuldraSubmitError:
    data = {**error.__dict__}
    return HuldraSubmitError(f"{error}; {remark}" if remark else str(error), **data)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())


def unwrap(executor: Any) -> Any:
    """The SlurmExecutor in a submitit executor; HuldraExecutorError when it is for another."""
    inner = getattr(executor, "_executor", executor)
    if type(inner).name() != ENGINE:
        raise HuldraExecutorError(
            f"expected a submitit executor for Slurm, found one for {type(inner).name()!r}; pass"
            " it to load_or_create(executor=...) directly"
        )
    return inner


def independent_folder(folder: str) -> str:
    """The part of a log folder's path before submitit's tags (`%j`).

    Slurm opens the log files itself and does not make folders, so they must be there before the
    job's id is known.
    """
    from submitit.core.utils import JobPaths

    return str(JobPaths.get_first_id_independent_folder(folder))


def valid_parameters() -> frozenset[str]:
    """What submitit's Slurm executor takes."""
    from submitit.slurm.slurm import SlurmExecutor

    return frozenset(SlurmExecutor._valid_parameters())  # noqa: SLF001  a plugin's public face


def new_slurm_executor(folder: str) -> Any:
    """A submitit executor of our own; raises HuldraExecutorError where there is no Slurm."""
    from submitit.slurm.slurm import SlurmExecutor

    try:
        return SlurmExecutor(folder)
    except RuntimeError as error:
        raise HuldraExecutorError(
            f"executor='slurm' needs Slurm's programs on PATH, found none ({error}); run this on a"
            " login node, or use executor='local'"
        ) from error
