"""The file that says which node each element of an array is, written before `sbatch`.

It lies beside the run record, `<root>/runs/<run_id>/slurm-<digest>.json`, so that a job whose
submitter died a moment later finds everything it needs, and nothing has to be moved into place
once the job's id is known.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

from huldra.engines.kit import object_bytes, read_object, write_atomic
from huldra.errors import HuldraStoreError


@dataclass(frozen=True)
class Manifest:
    """One `sbatch`: the payloads by array index, and how often a job may be requeued.

    `timeout_min` is the time limit that was asked for, 0 for the partition's own. `per_job` nodes
    run in one element, one after another; `limits` are then the memory_gb and the time_min of each
    node. Those of versions before have neither.
    """

    name: str
    folder: str
    keys: tuple[str, ...]
    payloads: tuple[str, ...]
    max_requeues: int
    timeout_min: float
    cluster: str
    conf: str | None
    user: str
    per_job: int = 1
    limits: tuple[Any, ...] = ()

    def meta(self) -> dict[str, Any]:
        """What a ref carries beside the id, so that any process can follow the job."""
        return {
            "name": self.name,
            "folder": self.folder,
            "cluster": self.cluster,
            "conf": self.conf,
            "user": self.user,
        }


def path_of(run_path: str, digest: str) -> str:
    """Where the manifest of a group stands."""
    return f"{os.path.dirname(run_path)}/slurm-{digest}.json"


def write(path: str, manifest: Manifest) -> None:
    """Write it in one step."""
    write_atomic(path, object_bytes({"huldra": 1, **asdict(manifest)}))


def read(path: str) -> Manifest:
    """Read it in the job.

    Raises:
        HuldraStoreError: it is not there or not whole; the message says what to do.
    """
    data = read_object(path)
    names = set(Manifest.__dataclass_fields__)
    if data is None or not data.keys() >= names - {"per_job", "limits"}:
        raise HuldraStoreError(
            f"this job needs its manifest {path}, found"
            f" {'no such file' if data is None else 'an incomplete one'}; the run's folder may"
            " have been deleted, or the store may be on a disk that this host does not share."
            " Submit again",
            directory=os.path.dirname(path),
        )
    return Manifest(**{name: _frozen(data[name]) for name in names & data.keys()})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
