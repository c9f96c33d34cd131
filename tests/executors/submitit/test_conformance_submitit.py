"""The conformance suite on submitit's local cluster: processes without a scheduler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from huldra.testing import Driver, ExecutorSuite


@pytest.mark.slow
class TestSubmititLocal(ExecutorSuite):
    """A raw `submitit.AutoExecutor` with `cluster="local"`."""

    patience_s = 100.0
    sweep_size = 6

    @pytest.fixture
    def executor(self, tmp_path: Path) -> Any:
        submitit = pytest.importorskip("submitit")
        executor = submitit.AutoExecutor(folder=tmp_path / "logs", cluster="local")
        executor.update_parameters(timeout_min=10)
        return executor

    @pytest.fixture
    def driver(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Driver:
        return Driver(
            factory="tests.executors.submitit.making:local_executor",
            environ={"TEST_SUBMITIT_FOLDER": str(tmp_path / "logs")},
        )
