"""`python -m huldra_submitit.start MANIFEST FOLDER`: what a job's script runs.

Puts the pickled call where submitit looks for it, unless it is there already (a requeued job has
one), and hands over to submitit. Made here and not by the submitter, the file cannot be missing
because the submitter died between `sbatch` and naming it after the job's id.
"""

from __future__ import annotations

import os
import sys

from huldra.engines.kit import RetryPolicy
from huldra_submitit import manifest as manifests
from huldra_submitit.node import Node, restarts
from huldra_submitit.node_group import NodeGroup, ShortNode

ENGINE = "slurm"


def main(argv: list[str]) -> int:
    """Run the element of the manifest that this job is; the exit status is the job's."""
    path, folder = argv
    if os.environ.get("SLURM_PROCID", "0") != "0":
        return 0  # one node, one `_create`: further tasks of the job belong to what it starts
    manifest = manifests.read(path)
    index = int(os.environ.get("SLURM_ARRAY_TASK_ID", "0"))
    if not RetryPolicy(manifest.max_requeues).allows(restarts()):
        sys.stderr.write(
            f"{manifest.keys[index * manifest.per_job]} was requeued {restarts()} times;"
            f" HULDRA_PREEMPT_MAX is {manifest.max_requeues}: not started again\n"
        )
        return 1
    _provide_call(manifest, index, folder)
    _let_steps_overlap()
    from submitit.core.submission import process_job

    process_job(folder)
    return 0


def _let_steps_overlap() -> None:
    """Let `srun` in `_create` use the whole allocation, which our own step holds."""
    os.environ["SLURM_OVERLAP"] = "1"


def _provide_call(manifest: manifests.Manifest, index: int, folder: str) -> None:
    from submitit import JobEnvironment
    from submitit.core.utils import DelayedSubmission

    os.environ["SUBMITIT_FOLDER"] = folder
    paths = JobEnvironment().paths
    paths.result_pickle.unlink(
        missing_ok=True
    )  # its absence at the end tells that we never got there
    target = paths.submitted_pickle
    leftover = target.with_suffix(target.suffix + ".save_tmp")
    leftover.unlink(missing_ok=True)  # of an attempt that was killed while it wrote
    if target.exists():
        return
    call = DelayedSubmission(_call_of(manifest, index))
    call.set_timeout(int(manifest.timeout_min), manifest.max_requeues)
    call.dump(leftover)
    leftover.replace(target)


def _call_of(manifest: manifests.Manifest, index: int) -> Node | NodeGroup:
    if manifest.per_job == 1:
        payload = manifest.payloads[index]
        return Node(payload, ENGINE, manifest.max_requeues, manifest.meta())
    first = index * manifest.per_job
    places = range(first, min(first + manifest.per_job, len(manifest.keys)))
    nodes = tuple(
        ShortNode(manifest.keys[place], manifest.payloads[place], *manifest.limits[place])
        for place in places
        if manifest.payloads[place]  # another driver was faster with the others
    )
    return NodeGroup(nodes, ENGINE, manifest.max_requeues, manifest.meta())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
