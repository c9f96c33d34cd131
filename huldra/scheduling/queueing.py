"""Queueing the nodes of one run: a claim, and a state that says so, in each artifact.

What is the same for all nodes is written once, in the run's folder, and linked into each artifact:
a link costs a tenth of a file. So a sweep of a thousand is queued in the time of a few files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from huldra.store import artifact, claim, files
from huldra.store.files import SharedFile
from huldra.store.job_ref import JobRef
from huldra.store.layout import ArtifactPaths
from huldra.store.process import Owner
from huldra.store.records import QUEUED, Attempt, Claim, now_text
from huldra.store.snapshot import derive


class RunEnqueuer:
    """The queued attempts of one run.

    `named_job` is the job of each attempt, where the engine takes names of ours: see
    `Claim.named_job`. With `binds_jobs` each attempt will be bound to a job whose id is not known
    yet, and its state is written then.
    """

    def __init__(
        self, folder: str, run_id: str, owner: Owner, named_job: JobRef | None, binds_jobs: bool
    ) -> None:
        self._folder = folder
        self._run_id = run_id
        self._owner = owner
        self._named_job = named_job
        self._binds_jobs = binds_jobs
        self._queued_at = now_text()
        self._shared: dict[int, tuple[Claim, SharedFile, SharedFile]] = {}

    def add(
        self, paths: ArtifactPaths, number: int, hint: Mapping[str, Any] | None
    ) -> Claim | None:
        """Try for attempt `number` of an artifact; None when somebody else was first.

        Also None when the artifact was removed since somebody saw the end of the attempt before.
        """
        if number > 1 and not claim.has_ended(paths, number - 1):
            return None
        if hint is not None:
            return claim.claim_next(
                paths, number, self._owner, kind=QUEUED, run_id=self._run_id, job_hint=hint
            )
        mine, claims, states = self._shared.get(number) or self._share(number)
        if not claims.link(paths.claim(number)):
            return None
        # A state that is there is an earlier attempt's, or of somebody who was faster than us.
        if not self._binds_jobs and not states.link(paths.state):
            artifact.write_state(paths, Attempt(mine))
        return mine

    def _share(self, number: int) -> tuple[Claim, SharedFile, SharedFile]:
        mine = Claim(
            number,
            QUEUED,
            self._owner,
            self._queued_at,
            self._run_id,
            named_job=self._named_job,
        )
        state = derive(Attempt(mine)).to_json()
        shared = self._shared[number] = (
            mine,
            SharedFile(f"{self._folder}/claim-{number}", files.object_bytes(mine.to_json())),
            SharedFile(f"{self._folder}/state-{number}.json", files.object_bytes(state)),
        )
        return shared
