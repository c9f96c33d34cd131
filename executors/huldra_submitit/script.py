"""The batch script of one group: submitit's own text, and what huldra adds at its end.

Pure but for submitit's rendering. The last lines of the script keep the job's exit status
through the user's `teardown` (otherwise a failed job would look like a good one) and put a job
whose process was killed from outside back into the queue. They know of `huldra.engines.retry` what
can be known in a shell: a second kill in a row, and one that the kernel, or Slurm, counts as for
lack of memory, end the job.
"""

from __future__ import annotations

import copy
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from huldra.engines.kit import memory_advice
from huldra_submitit.groups import index_text

KILLED = 137  # 128 + SIGKILL: the kernel, for lack of memory, or a person
LACKED_MEMORY = 253  # how Slurm itself says so
WARNED = 140  # 128 + SIGUSR2: the warning came before submitit could listen for it
_RESTARTS = "${SLURM_RESTART_COUNT:-0}"
_SUBMITIT_MAIN = "-m submitit.core._submit"


def render(
    executor: Any,
    parameters: Mapping[str, Any],
    *,
    name: str,
    folder: str,
    manifest: str,
    size: int,
    elements: Sequence[int],
    max_requeues: int,
) -> str:
    """The text for `sbatch`. `executor` is a submitit SlurmExecutor; it stays as it is.

    `size` is the number of nodes in the manifest, one being a plain job; `elements` are the
    indices that are sent.
    """
    copied = copy.copy(executor)
    copied.folder = type(executor.folder)(folder)
    copied.parameters = dict(parameters)
    teardown = list(copied.parameters.pop("teardown", None) or ())
    copied.parameters["job_name"] = name
    additional = dict(copied.parameters.get("additional_parameters") or {})
    additional.setdefault("requeue", True)
    if "no_requeue" in additional or "no-requeue" in additional:
        del additional["requeue"]
    if _tasks(copied.parameters) > 1:
        # The first task makes the node, the others end at once; srun must not end it for that.
        copied.parameters["srun_args"] = [*(copied.parameters.get("srun_args") or ()), "--wait=0"]
    if size > 1:
        copied.parameters["map_count"] = len(elements)
        # submitit would limit an array to 256 at once without a request for one.
        limit = copied.parameters.get("array_parallelism")
        asked = f"%{min(len(elements), int(limit))}" if limit else ""
        additional["array"] = index_text(elements) + asked
    # Where a site submits with `--export=NONE`, steps would start without any environment.
    copied.parameters["setup"] = [
        *(copied.parameters.get("setup") or ()),
        "unset SLURM_EXPORT_ENV",
    ]
    copied.parameters["additional_parameters"] = additional
    text = str(copied._make_submission_file_text(_command(copied, manifest, folder), name))  # noqa: SLF001  submitit's own extension point
    memory = parameters.get("mem")
    advice = memory_advice(f"slurm_mem={memory}" if memory else "")
    return "\n".join([text, *_ending(teardown, folder, max_requeues, advice)])


def _command(executor: Any, manifest: str, folder: str) -> str:
    # Through submitit's own command, so that a changed `python` (a container) stays in front.
    command = str(executor._submitit_command_str)  # noqa: SLF001  submitit's own extension point
    # -P: the working directory is no place to import from; the run record has the driver's path.
    ours = f"-P -m huldra_submitit.start {shlex.quote(manifest)}"
    if _SUBMITIT_MAIN in command:
        return command.replace(_SUBMITIT_MAIN, ours, 1)
    return f"{executor.python} -u {ours} {shlex.quote(folder)}"


def _tasks(parameters: Mapping[str, Any]) -> int:
    return int(parameters.get("nodes") or 1) * int(parameters.get("ntasks_per_node") or 1)


def _ending(teardown: list[str], folder: str, max_requeues: int, advice: str) -> list[str]:
    job = "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"
    return [
        "huldra_status=$?",
        "# a process that left without a word (os._exit) has not succeeded",
        f'huldra_result={shlex.quote(folder)}/"{job}_0_result.pkl"',
        'if [ "$huldra_status" -eq 0 ] && [ ! -e "$huldra_result" ]; then huldra_status=1; fi',
        "# the next start, if there is one, need not wait for this process's lease to end",
        f'huldra_over={shlex.quote(folder)}/"{job}_"',
        f'huldra_before=$(cat "$huldra_over$(({_RESTARTS} - 1)).over" 2> /dev/null)',
        f'echo "$huldra_status" > "$huldra_over{_RESTARTS}.over"',
        *teardown,
        *_reason(advice),
        *_requeue(max_requeues),
        'exit "$huldra_status"',
        "",
    ]


def _reason(advice: str) -> list[str]:
    """Find out why a job that was killed would be killed again, and write it to stderr."""
    lack = "huldra_why='killed for lack of memory'"
    guess = "huldra_why='killed twice in a row, perhaps for lack of memory'"
    return [
        "# what the job's own control group counts, its steps included; else nothing is known",
        "huldra_group=$(sed -n s/^0:://p /proc/self/cgroup 2> /dev/null)",
        'huldra_group="/sys/fs/cgroup${huldra_group%%/step_*}"',
        'case "$huldra_group" in *"/job_$SLURM_JOB_ID") ;; *) huldra_group=/dev/null ;; esac',
        'huldra_why=""',
        f'if [ "$huldra_status" -eq {LACKED_MEMORY} ]; then {lack}; fi',
        f'if [ "$huldra_status" -eq {KILLED} ]; then',
        f'  if [ "$huldra_before" = {KILLED} ]; then {guess}; fi',
        f'  if grep -qs "^oom_kill [1-9]" "$huldra_group/memory.events"; then {lack}; fi',
        "fi",
        'if [ -n "$huldra_why" ]; then',
        f'  echo "huldra: $huldra_why;" {shlex.quote(advice)} >&2',
        "fi",
    ]


def _requeue(max_requeues: int) -> list[str]:
    """Put a job whose process was killed from outside back into the queue, under its id."""
    if max_requeues <= 0:
        return []
    return [
        f'if [ -z "$huldra_why" ] && [ "{_RESTARTS}" -lt {max_requeues} ]; then',
        '  case "$huldra_status" in',
        f'    {KILLED}|{WARNED}) scontrol requeue "$SLURM_JOB_ID" && sleep 60 ;;',
        "  esac",
        "fi",
    ]
