"""Queueing the nodes of one run: a claim, and a state that says so, in each artifact.

What is the same for all nodes is written once, in the run's folder, and linked into each artifact:
a link costs a tenth of a file. So a sweep of a thousand is queued in the time of a few files.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from huldra.store import artifact, claim, files
from huldra.store.files import SharedFile
from huldra.store.job_ref import JobRef
from huldra.store.layout import ArtifactPaths
from huldra.store.process import Owner
from huldra.store.records import QUEUED, Attempt, Claim, Lease, now_text
from huldra.store.snapshot import derive

_NAMES_MAX = 30_000  # of one file: ext4 takes 65,000


@dataclass(slots=True)
class _Shared:
    """The claim of many attempts with one number, and their state."""

    claim: Claim
    claims: SharedFile
    states: SharedFile
    names: int = 0


class RunEnqueuer:
    """The queued attempts of one run; `add` is for any thread.

    `named_job` is the job of each attempt, where the engine takes names of ours: see
    `Claim.named_job`. With `binds_jobs` each attempt will be bound to a job whose id is not known
    yet, and its state is written then. `lease` is what the driver promises of what it has queued,
    where that ends with it: `leased` are then the files that it has to renew.
    """

    def __init__(
        self,
        folder: str,
        run_id: str,
        owner: Owner,
        named_job: JobRef | None,
        binds_jobs: bool,
        lease: Lease | None = None,
    ) -> None:
        self._folder = folder
        self._run_id = run_id
        self._owner = owner
        self._named_job = named_job
        self._binds_jobs = binds_jobs
        self._lease = lease
        self._queued_at = now_text()
        self._shared: dict[int, _Shared] = {}
        self._names = itertools.count(1)
        self._lock = threading.Lock()  # of what is shared, while a file of it is made or counted
        self.leased: list[str] = []

    def add(
        self, paths: ArtifactPaths, number: int, hint: Mapping[str, Any] | None
    ) -> Claim | None:
        """Try for attempt `number` of an artifact; None when another process was first.

        Also None when the artifact was removed since the end of the attempt before was seen.
        """
        if number > 1 and not claim.has_ended(paths, number - 1):
            return None
        if hint is not None:
            return claim.claim_next(
                paths, number, self._owner, kind=QUEUED, run_id=self._run_id, job_hint=hint
            )
        with self._lock:
            shared = self._shared.get(number)
            if shared is None or shared.names == _NAMES_MAX:
                shared = self._share(number)
            shared.names += 1  # also where another process is first: it need not be exact
        if not shared.claims.link(paths.claim(number)):
            return None
        if not shared.claims.takes_names:  # then this one is a file of its own
            self._note_leased(paths.claim(number))
        # A state that is there is an earlier attempt's, or of a faster process.
        if not self._binds_jobs and not shared.states.link(paths.state):
            artifact.write_state(paths, Attempt(shared.claim))
        return shared.claim

    def _note_leased(self, path: str) -> None:
        if self._lease is not None:
            self.leased.append(path)

    def _share(self, number: int) -> _Shared:
        mine = Claim(
            number,
            QUEUED,
            self._owner,
            self._queued_at,
            self._run_id,
            named_job=self._named_job,
            lease=self._lease,
        )
        name = f"{number}-{next(self._names)}" if number in self._shared else str(number)
        claims = f"{self._folder}/claim-{name}"
        state = derive(Attempt(mine)).to_json()
        self._note_leased(claims)
        shared = self._shared[number] = _Shared(
            mine,
            SharedFile(claims, files.object_bytes(mine.to_json())),
            SharedFile(f"{self._folder}/state-{name}.json", files.object_bytes(state)),
        )
        return shared
