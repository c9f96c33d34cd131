"""Stand-ins: graphs without artifacts, and a Slurm that answers from a script."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from huldra.engines.protocol import Task, TaskGraph
from huldra.engines.resources import Resources
from huldra.store.job_ref import JobRef
from huldra_submitit.commands import Answer, Slurm

OK = Answer(True, "", "")


def task(
    key: str,
    after: Iterable[str] = (),
    resources: Resources | None = None,
    after_jobs: Iterable[JobRef] = (),
) -> Task:
    """A node called `key` of the class that stands before its last slash."""
    return Task(
        key=key,
        task_name=key.replace("/", "-"),
        label=key,
        payload=f'{{"key": "{key}"}}',
        directory=f"/nowhere/{key}",
        log_path=f"/nowhere/{key}/log",
        after=tuple(after),
        after_jobs=tuple(after_jobs),
        resources=resources or Resources(),
    )


def graph(*tasks: Task, root: str = "/nowhere") -> TaskGraph:
    """A graph of these tasks, in this order."""
    return TaskGraph(
        run_id="20260131T120000-abc",
        run_path=f"{root}/runs/20260131T120000-abc/graph.json",
        root=root,
        tasks={each.key: each for each in tasks},
    )


def sweep(models: int, datasets: int, report: bool = True) -> TaskGraph:
    """Models over datasets, with a report on top."""
    data = [task(f"m/Data/{i}") for i in range(datasets)]
    fits = [task(f"m/Model/{i}", [f"m/Data/{i % datasets}"]) for i in range(models)]
    top = [task("m/Report/0", [each.key for each in fits])] if report else []
    return graph(*data, *fits, *top)


@dataclass(frozen=True)
class ScriptedSlurm(Slurm):
    """Answers each program from a function, and remembers what was asked."""

    answers: dict[str, Callable[[tuple[str, ...]], Answer]] = field(default_factory=dict)
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, *command: str, timeout_s: float = 0.0) -> Answer:
        self.asked.append(command)
        return self.answers.get(command[0], lambda _: OK)(command)

    def __hash__(self) -> int:
        return id(self)

    def programs(self) -> list[str]:
        """The programs that were run, in order."""
        return [command[0] for command in self.asked]


def says(out: str) -> Callable[[Any], Answer]:
    """A program that succeeds with this output."""
    return lambda _: Answer(True, out, "")


def fails(err: str) -> Callable[[Any], Answer]:
    """A program that fails with this message."""
    return lambda _: Answer(False, "", err)
