"""The empty computation as exca has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import exca
import pydantic


class Task(pydantic.BaseModel):
    """Three small fields, like `configs.Item`."""

    number: int
    name: str = "item"
    rate: float = 1e-3
    infra: exca.TaskInfra = exca.TaskInfra(version="1")

    @infra.apply
    def process(self) -> int:
        return 0


def caller(folder: str) -> Callable[[int], Any]:
    """Ask for the task of a number."""

    def call(number: int) -> Any:
        task = Task(number=number, infra={"folder": folder, "cluster": None})  # type: ignore[arg-type]  # pydantic converts
        return task.process()

    return call
