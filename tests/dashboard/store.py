"""Example stores, written straight in the documented format: fast, and in every state.

    store = example_store(tmp_path, 1000)        # a realistic mixture, deterministic
    writer = StoreWriter(tmp_path)               # or artifact by artifact
    key = writer.add("proj.models/Train", {"lr": 0.1}, status="failed")

As a command: `python -m tests.dashboard.store DIRECTORY [COUNT]`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import random
import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from huldra.provenance.metadata import Metadata
from huldra.store import claim
from huldra.store.artifact import success_record
from huldra.store.job_ref import JobRef
from huldra.store.layout import ArtifactPaths
from huldra.store.process import Owner, new_owner
from huldra.store.records import QUEUED, RUNNING, Attempt, Claim, End, ErrorRecord
from huldra.store.snapshot import derive, outcome_before

UTC = dt.UTC
OPEN = ("queued", "running", "stale")
TRACEBACK = """Traceback (most recent call last):
  File "/srv/venv/lib/python3.11/site-packages/huldra/attempt.py", line 210, in _run
    value = artifact._create()
  File "/home/{user}/my_project/{module}.py", line {line}, in _create
    self._step(batch)
  File "/home/{user}/my_project/{module}.py", line {inner}, in _step
    raise {type}({message!r})
{type}: {message}
"""


def digest_of(namespace: str, config: Mapping[str, Any]) -> str:
    """A hash of 32 hexadecimal digits that tells the example configs apart."""
    text = json.dumps([namespace, config], sort_keys=True, default=str)
    return hashlib.blake2s(text.encode(), digest_size=16).hexdigest()


def ref(key: str) -> dict[str, str]:
    """How a nested artifact stands in `config`."""
    return {"$ref": key}


@dataclass
class StoreWriter:
    """Writes artifacts below `root` as huldra would have left them at `now`."""

    root: Path
    now: dt.datetime = field(default_factory=lambda: dt.datetime.now(UTC))
    host: str = field(default_factory=socket.gethostname)
    count: int = 0

    def directory(self, key: str, version_controlled: bool = False) -> Path:
        """Where the artifact `key` is."""
        return Path(self.root) / ("git" if version_controlled else "data") / key

    def owner(
        self,
        *,
        host: str | None = None,
        user: str = "ada",
        backend: str = "local",
        job_id: str | None = None,
        dead: bool = False,
    ) -> dict[str, Any]:
        """An owner: this very process (alive), or a pid of this boot that is not (dead)."""
        return self._owner(host, user, backend, job_id, dead).to_json()

    def _owner(
        self, host: str | None, user: str, backend: str, job_id: str | None, dead: bool
    ) -> Owner:
        job = JobRef(backend, job_id) if job_id is not None else None
        owner = replace(new_owner(backend, job), user=user)
        if host is not None and host != self.host:
            return replace(owner, host=host, boot_id=f"boot of {host}", pid=1000 + self.count)
        if dead:
            return replace(owner, pid=4194305, started="1")
        claim.register(owner)  # else its own process takes it for lost
        return owner

    def add(
        self,
        namespace: str,
        config: Mapping[str, Any],
        *,
        status: str = "success",
        ago_s: float = 3600.0,
        duration_s: float = 60.0,
        heartbeat_ago_s: float = 5.0,
        host: str | None = None,
        user: str = "ada",
        backend: str = "local",
        job_id: str | None = None,
        run_id: str | None = None,
        attempts: Sequence[str] = (),
        error: tuple[str, str] = ("builtins.ValueError", "loss is nan"),
        failed_key: str | None = None,
        version_controlled: bool = False,
        files: Mapping[str, str | bytes] | None = None,
        log: str | None = None,
        output: str = "",
        digest: str | None = None,
        git_patch: str = "",
    ) -> str:
        """Write one artifact and return its key.

        `status` is that of the last attempt (`stale`: recorded as running, owner dead), or
        `absent`. `attempts` are the statuses of the attempts before it. `ago_s` is when the
        last attempt began. A key in `config` as `{"$ref": key}` becomes a dependency.
        """
        self.count += 1
        digest = digest or digest_of(namespace, config)
        key = f"{namespace}/{digest}"
        directory = self.directory(key, version_controlled)
        paths = ArtifactPaths(str(directory))
        private = Path(paths.private)
        Path(paths.claims).mkdir(parents=True, exist_ok=True)
        started = self.now - dt.timedelta(seconds=ago_s)
        owner = self._owner(host, user, backend, job_id, status == "stale")
        number = len(attempts) + 1
        for index, past in enumerate(attempts, 1):
            begun = started - dt.timedelta(seconds=(number - index) * 2 * duration_s)
            self._attempt(paths, index, past, begun, duration_s, owner, run_id, None)
        record = self._error(namespace, user, error, failed_key) if status == "failed" else None
        if status != "absent":
            attempt = self._attempt(
                paths, number, status, started, duration_s, owner, run_id, record
            )
            if status in OPEN:
                beat = self.now.timestamp() - heartbeat_ago_s
                os.utime(paths.claim(number), (beat, beat))
            updated = attempt.end.ended_at if attempt.end else attempt.claim.claimed_at
            before = outcome_before(paths, attempt)
            state = derive(attempt, before=before).to_json() | {"updated_at": updated}
            _dump(Path(paths.state), state)
            if status == "success":
                _dump(Path(paths.success), success_record(paths, number, updated))
        self._metadata(private, namespace, digest, config, started, owner, version_controlled)
        if git_patch:
            (private / "git.patch").write_text(git_patch)
        text = f"{_text(started)} INFO load_or_create {key} (missing->create)\n"
        (private / "huldra.log").write_text(
            text + (record.traceback if record else "") if log is None else log
        )
        if output:
            (private / "output.log").write_text(output)
        for name, content in (files or {}).items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return key

    def queue_again(self, key: str, end: str | None = None) -> None:
        """Queue one more attempt at an artifact, whose job never began; `end` is how it ended."""
        paths = ArtifactPaths(str(self.directory(key)))
        status = end or QUEUED
        owner = self._owner(None, "ada", "local", None, False)
        number = claim.last_number(paths) + 1
        held = Claim(number, QUEUED, owner, self.now.isoformat())
        _dump(Path(paths.claim(number)), held.to_json())
        if status != QUEUED:
            record = End(number, status, self.now.isoformat(), owner)
            _dump(Path(paths.claim_end(number)), record.to_json())

    @staticmethod
    def dump(path: Path, value: Any) -> None:
        """Write a file of huldra's as JSON."""
        _dump(path, value)

    def add_run(
        self,
        name: str,
        members: Mapping[str, str],
        needs: Mapping[str, Iterable[str]],
        *,
        engine: str = "slurm",
        ago_s: float = 3600.0,
        run_id: str | None = None,
        module: str = "my_project.sweeps",
    ) -> str:
        """Write a run record: `needs` maps the key of each planned node to what it needs."""
        created = self.now - dt.timedelta(seconds=ago_s)
        run_id = run_id or f"{created:%Y%m%dT%H%M%S}-{self.count:06x}"
        nodes = {
            key: {
                "config": key.rpartition("/")[2],
                "directory": str(self.directory(key)),
                "claim": 1,
                "token": "t",
                "after": [k for k in after if k in needs],
                "needs": list(after),
            }
            for key, after in needs.items()
        }
        folder = Path(self.root) / "runs" / run_id
        folder.mkdir(parents=True, exist_ok=True)
        _dump(
            folder / "graph.json",
            {
                "huldra": 1,
                "run_id": run_id,
                "created_at": _text(created),
                "name": name,
                "module": module,
                "engine": engine,
                "root": str(self.root),
                "settings": {},
                "sys_path": [],
                "cwd": "/home/ada",
                "driver": self.owner(),
                "members": dict(members),
                "nodes": nodes,
                "objects": {},
            },
        )
        return run_id

    def _attempt(
        self,
        paths: ArtifactPaths,
        number: int,
        status: str,
        started: dt.datetime,
        duration_s: float,
        owner: Owner,
        run_id: str | None,
        error: ErrorRecord | None,
    ) -> Attempt:
        kind = QUEUED if status == QUEUED else RUNNING
        # A queued attempt's owner is the driver; its job is a record of its own.
        holder = replace(owner, job=None) if kind == QUEUED else owner
        held = Claim(number, kind, holder, started.isoformat(), run_id)
        _dump(Path(paths.claim(number)), held.to_json())
        job = owner.job if kind == QUEUED else None
        if job is not None:
            _dump(Path(paths.claim_job(number)), job.to_json())
        if status in OPEN:
            return Attempt(held, None, job)
        ended = started + dt.timedelta(seconds=duration_s)
        end = End(number, status, ended.isoformat(), holder, error)
        _dump(Path(paths.claim_end(number)), end.to_json())
        return Attempt(held, end, job)

    def _error(
        self, namespace: str, user: str, error: tuple[str, str], failed_key: str | None
    ) -> ErrorRecord:
        module = namespace.rpartition("/")[0].rpartition(".")[2]
        line = 40 + self.count % 7
        traceback = TRACEBACK.format(
            user=user,
            module=module,
            line=line,
            inner=line + 9,
            type=error[0].rpartition(".")[2],
            message=error[1],
        )
        return ErrorRecord(error[0], error[1], traceback, failed_key)

    def _metadata(
        self,
        private: Path,
        namespace: str,
        digest: str,
        config: Mapping[str, Any],
        started: dt.datetime,
        owner: Owner,
        version_controlled: bool,
    ) -> None:
        name = namespace.rpartition("/")[2]
        arguments = ", ".join(f"{name}={value!r}" for name, value in config.items())
        objects = {digest: {"class": namespace.replace("/", ":"), "fields": dict(config)}}
        record = Metadata(
            namespace=namespace,
            huldra_hash=digest,
            huldra_path=str(private.parent),
            huldra_python_def=f"{name}({arguments})",
            huldra_obj={"huldra": 1, "root": digest, "objects": objects},
            config=dict(config),
            dependencies=[
                {"field": path, "namespace": key.rpartition("/")[0], "hash": key[-32:]}
                for path, key in _references(config, "")
            ],
            version_controlled=version_controlled,
            git_commit="5f0c1f9a7d3b2e4c6a8890b1c2d3e4f5a6b7c8d9",
            git_branch="main",
            git_remote="git@git.example.org:ada/my_project.git",
            git_dirty=bool(self.count % 3),
            git_untracked=["notes.txt"],
            timestamp=started.isoformat(),
            command="python -m my_project.train --sweep wide",
            python_version="3.11.7",
            executable="/srv/venv/bin/python",
            platform="Linux-6.1-x86_64",
            hostname=owner.host,
            user=owner.user,
            pid=owner.pid,
            cwd="/home/ada/my_project",
        )
        _dump(private / "metadata.json", record.to_json())


def _references(value: Any, path: str) -> Iterable[tuple[str, str]]:
    if isinstance(value, Mapping):
        if isinstance(value.get("$ref"), str):
            yield path, value["$ref"]
            return
        for name, item in value.items():
            yield from _references(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _references(item, f"{path}[{index}]")


def _dump(path: Path, value: Any) -> None:
    # A file is new, or replaced as a whole: huldra writes nothing in place.
    temporary = f"{path}.new"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(json.dumps(value))
    os.replace(temporary, path)


def _text(when: dt.datetime | None) -> str | None:
    return when.isoformat() if when else None


STATUSES = (
    ["success"] * 70
    + ["failed"] * 10
    + ["running"] * 4
    + ["queued"] * 6
    + ["stale"] * 2
    + ["cancelled"] * 3
    + ["preempted"] * 3
    + ["crashed"] * 2
)
ERRORS = (
    ("builtins.ValueError", "loss is nan at step {n}"),
    ("torch.cuda.OutOfMemoryError", "CUDA out of memory. Tried to allocate {n} MiB"),
    ("builtins.FileNotFoundError", "[Errno 2] No such file or directory: '/scratch/{n}.bin'"),
    ("builtins.KeyError", "'label'"),
)
PLACES = (("node01", "slurm"), ("node02", "slurm"), (None, "local"), ("gpu7", "dask"))


def example_store(root: str | os.PathLike[str], count: int = 200, *, seed: int = 0) -> StoreWriter:
    """Fill `root` with about `count` artifacts of a small text-model project, and three runs."""
    draw = random.Random(seed)
    writer = StoreWriter(Path(root))
    datasets = [
        writer.add(
            "my_project.data/Dataset",
            {"name": name, "split": split, "max_rows": 10_000},
            ago_s=40_000,
            files={"data.txt": "hello\nworld\n", "stats.json": '{"rows": 10000, "tokens": 81234}'},
            version_controlled=split == "test",
        )
        for name in ("toy", "wiki", "books")
        for split in ("train", "test")
    ]
    tokenizers = [
        writer.add(
            "my_project.data/Tokenizer",
            {"dataset": ref(data), "vocab": vocab},
            ago_s=36_000,
            backend="slurm",
            host="node01",
            job_id=f"10{vocab}",
        )
        for data in datasets
        for vocab in (8000, 32000)
    ]
    trained = _add_models(writer, draw, datasets, tokenizers, max(1, int(count * 0.7)))
    evaluated = _add_evaluations(writer, draw, datasets, trained, max(1, int(count * 0.25)))
    _add_reports(writer, draw, evaluated, max(1, int(count * 0.02)))
    _add_runs(writer, trained, evaluated)
    return writer


def _place(draw: random.Random, number: int) -> dict[str, Any]:
    host, backend = draw.choice(PLACES)
    job_id = f"{4000 + number // 40}_{number % 40}" if backend != "local" else None
    return {
        "host": host,
        "backend": backend,
        "job_id": job_id,
        "user": draw.choice(("ada", "grace")),
    }


def _outcome(draw: random.Random, number: int) -> dict[str, Any]:
    status = draw.choice(STATUSES)
    place = _place(draw, number)
    if status == "stale":
        place |= {"host": None}
    kind, message = draw.choice(ERRORS)
    ago_s = draw.uniform(5, 3000) if status in OPEN else draw.uniform(600, 30 * 86400)
    return place | {
        "status": status,
        "ago_s": ago_s,
        "duration_s": round(draw.lognormvariate(4, 1), 3),
        "heartbeat_ago_s": draw.uniform(0, 40),
        "error": (kind, message.format(n=draw.randrange(10_000))),
        "attempts": ("preempted",) if draw.random() < 0.08 else (),
    }


def _add_models(
    writer: StoreWriter,
    draw: random.Random,
    datasets: Sequence[str],
    tokenizers: Sequence[str],
    count: int,
) -> list[tuple[str, str]]:
    made = []
    for number in range(count):
        lr = draw.choice((1e-4, 3e-4, 1e-3, 3e-3, 1e-2))
        config = {
            "dataset": ref(draw.choice(datasets)),
            "tokenizer": ref(draw.choice(tokenizers)),
            "lr": lr,
            "steps": draw.choice((100, 1000, 5000)),
            "opt": {
                "name": draw.choice(("adam", "sgd", "lion")),
                "momentum": 0.9,
                "nesterov": False,
            },
            "seed": number,
        }
        outcome = _outcome(draw, number)
        files = _model_files(draw, lr) if outcome["status"] == "success" else {}
        key = writer.add("my_project.models/TrainModel", config, files=files, **outcome)
        made.append((key, outcome["status"]))
    return made


def _model_files(draw: random.Random, lr: float) -> dict[str, str]:
    final = 0.3 + lr * 20 + draw.random() * 0.1
    curve = "".join(
        json.dumps({"step": step, "loss": round(final + 2 / (1 + step / 10), 5)}) + "\n"
        for step in range(0, 100, 10)
    )
    return {
        "metrics.json": json.dumps({"loss": round(final, 5), "accuracy": round(1 - final / 3, 5)}),
        "history.jsonl": curve,
        "checkpoint.bin": "x" * draw.randrange(10, 2000),
    }


def _add_evaluations(
    writer: StoreWriter,
    draw: random.Random,
    datasets: Sequence[str],
    trained: Sequence[tuple[str, str]],
    count: int,
) -> list[tuple[str, str]]:
    made = []
    for number in range(count):
        key, status = draw.choice(trained)
        config = {
            "model": ref(key),
            "parts": [ref(k) for k in draw.sample(datasets, 2)],
            "metric": draw.choice(("accuracy", "f1")),
            "repeat": number,
        }
        outcome = _outcome(draw, number)
        if status == "failed":
            outcome |= {
                "status": "failed",
                "failed_key": key,
                "error": ("huldra.errors.HuldraDependencyError", f"{key} was not made"),
            }
        score = {"metrics.json": json.dumps({"score": draw.random()})}
        files = score if outcome["status"] == "success" else {}
        made.append(
            (
                writer.add("my_project.evaluation/Evaluate", config, files=files, **outcome),
                outcome["status"],
            )
        )
    return made


def _add_reports(
    writer: StoreWriter, draw: random.Random, evaluated: Sequence[tuple[str, str]], count: int
) -> None:
    for number in range(count):
        chosen = draw.sample(evaluated, min(len(evaluated), 20))
        config = {"title": f"report {number}", "evaluations": [ref(k) for k, _ in chosen]}
        writer.add("my_project.report/Report", config, **_outcome(draw, number))


def _add_runs(
    writer: StoreWriter,
    trained: Sequence[tuple[str, str]],
    evaluated: Sequence[tuple[str, str]],
) -> None:
    models = [key for key, _ in trained[:60]]
    writer.add_run(
        "WideSweep",
        {f"lr_{n}": key for n, key in enumerate(models)},
        dict.fromkeys(models, ()),
        ago_s=7200,
    )
    absent = f"my_project.models/TrainModel/{digest_of('absent', {})}"
    pairs = [key for key, _ in evaluated[:10]]
    writer.add_run(
        "Evaluations",
        {f"eval_{n}": key for n, key in enumerate(pairs)} | {"not_begun": absent},
        dict.fromkeys([*pairs, absent], ()),
        engine="dask",
        ago_s=1800,
    )
    done = [key for key, status in trained if status == "success"][:8]
    writer.add_run(
        "Baselines",
        {f"base_{n}": key for n, key in enumerate(done)},
        {},
        engine="local",
        ago_s=86400,
    )


if __name__ == "__main__":
    written = example_store(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200)
    print(f"{written.count} artifacts below {sys.argv[1]}")
