"""Starts the supervisor of a cluster, in a job of its own that has no driver's settings.

Run as `python -m huldra_ray.supervisor_start ADDRESS FOLDER...`; ends when it is up.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from huldra_ray import remote, runtime

# The number changes with what drivers and supervisor say to each other.
SUPERVISOR = "huldra-supervisor-2"
NAMESPACE = "huldra"
_UP_S = 200.0


def main(address: str, *folders: str) -> None:
    """Start it, unless it is there; `folders` are where huldra is, for hosts that have none."""
    cloudpickle: Any = importlib.import_module("ray.cloudpickle")
    cloudpickle.register_pickle_by_value(remote)
    ray: Any = runtime.require()
    ray.init(address, log_to_driver=False, logging_level="ERROR", configure_logging=False)
    options = {
        "name": SUPERVISOR,
        "namespace": NAMESPACE,
        "lifetime": "detached",
        "get_if_exists": True,
        "num_cpus": 0,
        # On the head, which is needed anyway: no other host takes all jobs along.
        "resources": {"node:__internal_head__": 0.001},
        "max_concurrency": 64,
    }
    actor = ray.remote(remote.SupervisorActor).options(**options).remote(list(folders))
    ray.get(actor.status.remote([]), timeout=_UP_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
