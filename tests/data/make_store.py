"""`python -m tests.data.make_store FOLDER`: freeze a store of the version that runs this.

Each state comes about by the library's own functions, in processes that are gone afterwards; the
engines are stood in for by one that sends nothing. Beside the store goes `manifest.json`: what this
version says of each artifact. Later versions have to say the same (`tests/test_old_stores.py`).
"""

from __future__ import annotations

import getpass
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import huldra
from huldra.engines.protocol import Capabilities, TaskGraph
from huldra.scheduling.in_process import is_there
from huldra.store import artifact, claim
from huldra.store.job_ref import JobRef
from huldra.store.layout import ArtifactPaths
from huldra.store.process import new_owner, this_process
from huldra.store.records import RUNNING, Attempt, AttemptStatus
from tests.faults.samples import HeldEngine
from tests.support import children
from tests.support.odd import lines
from tests.support.old_samples import SAMPLES

ROOT = "/srv/frozen/store"  # the root's path inside the files of a frozen store
OLD = 1769860800.0  # 2026-01-31T12:00:00Z
SETTINGS = {"HULDRA_LEASE_SECS": "3", "HULDRA_HEARTBEAT_SECS": "0.5"}


class Engine(HeldEngine):
    """Stands in for an engine: takes what it is given, under that engine's name and refs."""

    def __init__(self, name: str, *, binds: bool = True, hints: bool = False) -> None:
        super().__init__()
        self.name = name
        self.capabilities = Capabilities(finds_by_id=True, survives_driver=True)
        self._binds = binds
        if hints or name == "slurm":
            self.job_hints = self._job_hints
        if name in ("dask", "ray"):
            self.named_jobs = self._named_jobs

    def _job_hints(self, graph: TaskGraph) -> Mapping[str, Mapping[str, Any]]:
        meta = {"name": "huldra-1", "cluster": None, "conf": None, "user": "ada"}
        folder = os.path.dirname(graph.run_path)
        return {
            key: {**meta, "folder": folder, "index": index, "since": OLD, "driver": None}
            for index, key in enumerate(graph.tasks)
        }

    def _named_jobs(self, graph: TaskGraph) -> JobRef:
        where = {"scheduler": "tcp://192.0.2.1:8786", "scheduler_id": "Scheduler-1"}
        meta = where if self.name == "dask" else {"address": "192.0.2.1:6379"}
        logs = os.path.dirname(graph.run_path)
        return JobRef(self.name, graph.run_suffix, {**meta, "driver": None, "logs": logs})

    def submit(self, graph: TaskGraph, on_submitted: Any) -> None:
        """Keep the payloads, and say a job's id, or die before that."""
        for index, (key, task) in enumerate(graph.tasks.items()):
            self.payloads[key] = task.payload
            if not self._binds:
                os._exit(0)
            ref = JobRef(self.name, f"17_{index}", {"name": "huldra-1", "user": "ada"})
            on_submitted(key, graph.refs(graph.named_job)[key] if graph.named_job else ref)


def _in_child(root: Path, code: str) -> None:
    done = children.run(f"from tests.data.make_store import *\n{code}", root, **SETTINGS)
    if done.returncode not in (0, -signal.SIGTERM, -signal.SIGINT, -signal.SIGKILL):
        raise SystemExit(f"{code}\nended with {done.returncode}: {done.stderr}")


def _ended_by(root: Path, name: str, signum: signal.Signals) -> None:
    """Begin `name` in a child and send it `signum` while `_create` runs."""
    ledger = root.parent / f"{name}.ledger"
    child = children.start(
        f"""
        from tests.support.old_samples import Outcome
        gate = {str(root.parent / "gate")!r}
        Outcome(name={name!r}, gate=gate, ledger={str(ledger)!r}).load_or_create()
        """,
        root,
        **SETTINGS,
    )
    children.until(lambda: bool(lines(ledger)))
    child.send_signal(signum)
    children.finish(child)


def paths_of(name: str) -> ArtifactPaths:
    """The files of a sample."""
    return ArtifactPaths(str(SAMPLES[name].huldra_dir))


def try_to_make(obj: huldra.Huldra[Any]) -> None:
    """Make it, or fail."""
    try:
        obj.load_or_create()
    except huldra.HuldraError:
        pass  # the state is what is wanted


def end(name: str, status: AttemptStatus) -> None:
    """End the last attempt of a sample, as one does who finds its owner dead."""
    attempt = claim.last_attempt(paths_of(name))
    assert attempt is not None
    ended = claim.end_attempt(paths_of(name), attempt.number, status, new_owner())
    artifact.write_state(paths_of(name), Attempt(attempt.claim, ended))


def fill(root: Path) -> None:
    """Bring about every state."""
    for name in ("corpus", "test corpus", "model", "second model", "report", "bumped"):
        _in_child(root, f"SAMPLES[{name!r}].load_or_create()")
    _in_child(root, "try_to_make(Outcome(name='failed', fails=True))")
    _ended_by(root, "cancelled", signal.SIGINT)
    _ended_by(root, "preempted", signal.SIGTERM)
    _ended_by(root, "retried", signal.SIGTERM)
    _in_child(root, "SAMPLES['retried'].load_or_create()")
    for name in ("running", "crashed", "abandoned"):
        _ended_by(root, name, signal.SIGKILL)
    _in_child(root, "end('crashed', AttemptStatus.CRASHED)")
    _in_child(root, "claim.end_without_record(paths_of('abandoned'), 1)")
    _in_child(root, "SAMPLES['discarded'].load_or_create()")
    _in_child(root, "claim.claim_next(paths_of('discarded'), 2, new_owner())")
    _in_child(root, "SAMPLES['unsaid'].load_or_create(); os.unlink(paths_of('unsaid').success)")
    _fill_with_engines(root)


def _fill_with_engines(root: Path) -> None:
    for name in ("dask queued", "ray queued", "slurm bound"):
        engine = name.split()[0]
        _in_child(root, f"SAMPLES[{name!r}].load_or_create(executor=Engine({engine!r}))")
    _in_child(root, "SAMPLES['slurm hinted'].load_or_create(executor=Engine('slurm', binds=False))")
    for name in ("slurm done", "dask done"):
        code = f"""
        engine = Engine({name.split()[0]!r})
        huldra.load_or_create({{"the only one": SAMPLES[{name!r}]}}, executor=engine)
        [payload] = engine.payloads.values()
        run_node(payload, owns_process=True)
        """
        _in_child(root, "\n".join(line.strip() for line in code.splitlines()))
    _in_child(
        root,
        "SAMPLES['started'].load_or_create(executor=Engine('slurm'))\n"
        "queued = claim.last_attempt(paths_of('started'))\n"
        "claim.start_queued(paths_of('started'), queued.claim, new_owner())\n"
        "os.unlink(paths_of('started').claim(2))",
    )
    _in_child(
        root,
        "need = Outcome(name='local failed', fails=True)\n"
        "members = {'done': SAMPLES['local done'], 'dependent': SAMPLES['local dependent']}\n"
        "members['dependent'] = Outcome(name='local dependent', needs=(need,))\n"
        "huldra.load_or_create(members, executor='local:1').wait(progress=False)",
    )


def ends_of(paths: ArtifactPaths) -> list[str]:
    """How the attempts ended in which `_create` was to run; `running` is the end of an open one."""
    attempts = claim.read_history(paths)
    return [attempt.status.value for attempt in attempts if attempt.claim.kind == RUNNING]


def manifest(root: Path) -> dict[str, Any]:
    """What this version says of the store at `root`."""
    from huldra.catalog import Catalog

    catalog = Catalog([str(root)])
    rows = {row.key: row for row in catalog.snapshot().query().rows}
    told = {}
    for name, obj in SAMPLES.items():
        state = huldra.StateManager.read(obj.huldra_dir)
        row = rows.get(paths_of(name).key)
        told[name] = {
            "directory": str(obj.huldra_dir.relative_to(root)),
            "hash": obj.huldra_hash,
            "result": state.result.value,
            "status": state.attempt.status.value if state.attempt else None,
            "is_there": is_there(obj, paths_of(name).key),
            "turns": ends_of(paths_of(name)),
            "shown": row.status if row else None,
            "backend": row.backend if row else None,
            "loads": obj.load_or_create() if is_there(obj, paths_of(name).key) else None,
        }
    return {"version": huldra.__version__, "root": ROOT, "artifacts": told}


def _impersonal(root: Path, target: Path) -> None:
    """Copy the store without what speaks of this machine."""
    project = str(children.REPOSITORY)
    words = {
        str(root): ROOT,
        project: "/home/ada/project",
        sys.executable: "/home/ada/project/.venv/bin/python",
        socket.gethostname(): "node07",
        this_process().boot_id: "00000000-0000-0000-0000-000000000000",
        '"git_branch": "harness"': '"git_branch": "main"',
        f'"user": "{getpass.getuser()}"': '"user": "ada"',
    }
    for source in sorted(root.rglob("*")):
        copy = target / "store" / source.relative_to(root)
        if source.is_dir():
            copy.mkdir(parents=True, exist_ok=True)
            continue
        # Git would heed a `.gitignore` in there.
        copy = copy.with_name(copy.name.replace(".gitignore", "_gitignore"))
        data = source.read_bytes()
        for word, other in words.items():
            data = data.replace(word.encode(), other.encode())
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(data)


def main() -> None:
    """Make the store in the folder that the command line names, which must not exist."""
    target = Path(sys.argv[1]).resolve()
    target.mkdir(parents=True)
    base = Path(tempfile.mkdtemp(prefix="frozen-"))
    root = base / "store"
    fill(root)
    with huldra.huldra_root(root):
        for path in root.rglob("claims/*"):
            os.utime(path, (OLD, OLD))
        told = manifest(root)
    _impersonal(root, target)
    (target / "manifest.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    shutil.rmtree(base)


if __name__ == "__main__":
    main()
