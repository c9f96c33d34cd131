"""What a machine offers, read from stand-ins of the files that say so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from huldra_local.machine import available_cpus, total_memory_gb, visible_gpus


@pytest.mark.parametrize(("text", "wanted"), [("50000 100000", 1), ("max 100000", None)])
def test_a_containers_quota_counts(text: str, wanted: int | None, tmp_path: Path) -> None:
    """Half a cpu of quota is one worker; no quota is what the affinity allows."""
    (tmp_path / "cpu.max").write_text(text + "\n")
    assert available_cpus(tmp_path) == (wanted or len(os.sched_getaffinity(0)))


def test_a_containers_memory_counts(tmp_path: Path) -> None:
    """The smaller of machine and container."""
    assert total_memory_gb(tmp_path) > 0.5
    (tmp_path / "memory.max").write_text(f"{2**29}\n")
    assert total_memory_gb(tmp_path) == 0.5


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({"CUDA_VISIBLE_DEVICES": "2,3"}, ("2", "3")),
        ({"CUDA_VISIBLE_DEVICES": ""}, ()),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, ()),
        ({"CUDA_VISIBLE_DEVICES": "GPU-1f, GPU-2e"}, ("GPU-1f", "GPU-2e")),
        ({}, ("0", "1", "10")),
    ],
)
def test_gpus_are_those_that_are_declared_or_found(
    environ: dict[str, str], wanted: tuple[str, ...], tmp_path: Path
) -> None:
    """The variable wins; without it the device files count, and only those of GPUs."""
    for name in ("nvidia0", "nvidia10", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert visible_gpus(environ, tmp_path) == wanted
