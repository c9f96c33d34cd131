"""The documented address of the seam; see `huldra.engines.protocol`."""

from huldra.engines.protocol import *  # noqa: F403  every public name of the seam
from huldra.store.job_ref import JobRef, task_name  # noqa: F401  documented here
