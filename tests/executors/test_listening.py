"""What an engine that huldra starts by itself is reachable at: this machine, and no other."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from tests.support import children, sockets

pytestmark = [
    pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="Linux only"),
    pytest.mark.timeout(300),
]

_RUNS_A_NODE = """
from huldra.testing.pipelines import Step

if __name__ == "__main__":
    Step(name="one").load_or_create(executor={executor!r}).result(timeout=100)
    print("made", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(
    "executor",
    [
        pytest.param("ray:2", marks=[pytest.mark.ray, pytest.mark.xdist_group("ray")]),
        pytest.param("dask:2", marks=pytest.mark.dask),
        "local:2",
    ],
)
def test_what_is_started_for_a_name_listens_on_the_loopback_alone(
    executor: str, tmp_path: Path
) -> None:
    """Whoever reaches a scheduler or a worker runs code as its user."""
    script = tmp_path / "driver.py"
    script.write_text(_RUNS_A_NODE.format(executor=executor))
    with children.start_script(script, children.environment(tmp_path / "store")) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None
        try:
            assert driver.stdout.readline() == "made\n"
            found = sockets.listening(driver.pid)
        finally:
            driver.stdin.close()
            driver.wait(60)
    assert found or executor.startswith("local")
    open_to_others = {
        name: addresses
        for name, addresses in found.items()
        if not all(ipaddress.ip_address(address).is_loopback for address in addresses)
    }
    assert not open_to_others
