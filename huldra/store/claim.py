"""Claims: who may write into an artifact, decided by the one operation that races well.

`link(2)` gives a complete file a name, and fails when the name is taken. So

* attempt N belongs to whoever links `claims/N`: claim, owner and fencing number in one step;
* attempt N ends by linking `claims/N.end`: its owner and anybody who thinks the owner dead compete
  for that single name, and only the winner goes on. A check followed by a write would not do: a
  process can be paused in between, for days;
* attempt N+1 is linked only by someone who has seen `N.end`;
* a queued attempt starts by linking the new attempt's file to `N.end` first and to `N+1` second.
  The first link decides: who sees it alone takes attempt N+1 for claimed, by the owner whom the
  file names. So nobody claims N+1 while the starter is between its two links, and if it died there,
  attempt N+1 is ended like that of any dead owner.

Nothing that decides is ever unlinked or replaced, so nothing live can be removed by mistake.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from huldra.store import files
from huldra.store.job_ref import JobRef
from huldra.store.layout import ArtifactPaths
from huldra.store.process import Owner
from huldra.store.records import (
    QUEUED,
    RUNNING,
    Attempt,
    AttemptStatus,
    Claim,
    End,
    ErrorRecord,
    Lease,
    attempt_of,
    begun_after,
    now_text,
)

# Tokens of the claims that this process holds. A claim of ours that is not in here was lost on the
# way (an exception between claim and attempt): it is dead, although our process is alive.
_registered: set[str] = set()
os.register_at_fork(after_in_child=_registered.clear)


def register(owner: Owner) -> None:
    """Count the owner's claim as alive while this process lives, until `unregister`."""
    _registered.add(owner.token)


def unregister(owner: Owner) -> None:
    """Count the owner's claim as dead from now on, if it has not ended."""
    _registered.discard(owner.token)


def is_registered(owner: Owner) -> bool:
    """Whether this very process holds the owner's claim."""
    return owner.token in _registered


def last_number(paths: ArtifactPaths) -> int:
    """The number of the last attempt, 0 when there was none."""
    return max(numbers(paths), default=0)


def numbers(paths: ArtifactPaths) -> list[int]:
    """The numbers of the attempts that left a file, the oldest first."""
    try:
        names = os.listdir(paths.claims)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise files.store_error(error, "read", paths.claims) from error
    return sorted({number for name in names if (number := _number_of(name))})


def _number_of(name: str) -> int:
    # An end counts without its claim, too: the claim may be lost, and an attempt that has ended
    # must never be claimed again. `007` or `٣` are not ours: such an attempt could not be found by
    # its name.
    stem = name.removesuffix(".end")
    return int(stem) if stem.isdecimal() and stem.isascii() and stem[0] != "0" else 0


def last_attempt(paths: ArtifactPaths) -> Attempt | None:
    """The last attempt, as the disk knows it."""
    number = last_number(paths)
    if not number:
        return None
    # Its job may be between the two links of its start, or the second came after we listed.
    return begun_after(read_attempt(paths, number))


def read_attempt(paths: ArtifactPaths, number: int) -> Attempt:
    """One attempt. An unreadable claim reads as one of nobody: its end decides, or its lease."""
    # One read decides whether the attempt has ended. To read and then to look whether the file
    # exists would take an end that appears in between for one that cannot be read.
    end = files.read_bytes(paths.claim_end(number))
    held = files.read_object(paths.claim(number)) or {}
    # Asked for only where it can be: not of a running attempt, nor where the claim itself names it.
    asks = held.get("kind") == QUEUED and not held.get("named_job")
    job = files.read_object(paths.claim_job(number)) if asks else None
    ended = None if end is None else files.parse_object(end) or {}
    return attempt_of(paths.key, number, held, ended, job)


def read_claim(paths: ArtifactPaths, number: int) -> Claim:
    """Who has attempt `number`. An unreadable claim reads as one of nobody."""
    return Claim.from_json(number, files.read_object(paths.claim(number)) or {})


def is_claimed_by(paths: ArtifactPaths, number: int, owner: Owner) -> bool:
    """Return True if attempt `number` is the owner's, by the token that no other owner has."""
    data = files.read_bytes(paths.claim(number))
    return data is not None and f'"token": "{owner.token}"'.encode() in data


def read_history(paths: ArtifactPaths) -> list[Attempt]:
    """Every attempt that there was, the oldest first."""
    return [read_attempt(paths, number) for number in numbers(paths)]


def has_ended(paths: ArtifactPaths, number: int) -> bool:
    """Whether attempt `number` is over; cheap enough to be asked often."""
    return files.path_exists(paths.claim_end(number))


def claim_next(
    paths: ArtifactPaths,
    number: int,
    owner: Owner,
    *,
    kind: str = RUNNING,
    run_id: str | None = None,
    job_hint: Mapping[str, Any] | None = None,
    lease: Lease | None = None,
) -> Claim | None:
    """Try for attempt `number`, the attempt before having ended; None when somebody was first."""
    claim = Claim(number, kind, owner, now_text(), run_id, None, job_hint, lease)
    data = files.object_bytes(claim.to_json())
    # A queued claim that a power cut loses costs nothing: its job claims again. So it is not
    # synced.
    if files.link_new(paths.claim(number), data, sync=kind == RUNNING):
        return claim
    return None


def start_queued(
    paths: ArtifactPaths, queued: Claim, owner: Owner, lease: Lease | None = None
) -> Claim | None:
    """Turn a queued claim into the next, running one; None when it was ended before.

    Also None when attempt N+1 was there already: whoever does not get both names has not got the
    attempt.
    """
    number = queued.number + 1
    claim = Claim(
        number, RUNNING, owner, now_text(), queued.run_id, from_queued=queued.number, lease=lease
    )
    data = files.object_bytes(claim.to_json())
    won = files.link_new(paths.claim_end(queued.number), data, sync=True, also=paths.claim(number))
    return claim if won else None


def end_attempt(
    paths: ArtifactPaths,
    number: int,
    status: AttemptStatus,
    by: Owner,
    error: ErrorRecord | None = None,
) -> End | None:
    """End attempt `number`; None when it had ended before, which then stands."""
    end = End(number, status.value, now_text(), by, error)
    data = files.object_bytes(end.to_json())
    return end if files.link_new(paths.claim_end(number), data, sync=True) else None


def end_without_record(paths: ArtifactPaths, number: int) -> None:
    """End attempt `number` when there is no room left to say how: the claim becomes its own end.

    A second name for a file that is there needs no data block, so this works on a full disk.
    """
    try:
        os.link(paths.claim(number), paths.claim_end(number))
    except OSError:
        pass  # ended already, or the disk is gone: then the process's death is what others will see


def bind_job(paths: ArtifactPaths, number: int, ref: JobRef) -> None:
    """Record the engine's job of a queued attempt: from now on the engine says whether it lives."""
    files.write_atomic(paths.claim_job(number), files.object_bytes(ref.to_json()))


def request_cancel(paths: ArtifactPaths, number: int, by: Owner) -> None:
    """Ask the owner of attempt `number` to stop."""
    record = {"by": by.to_json(), "at": now_text()}
    files.write_atomic(paths.claim_cancel(number), files.object_bytes(record))


def is_cancel_requested(paths: ArtifactPaths, number: int) -> bool:
    """Whether somebody asked attempt `number` to stop."""
    return files.path_exists(paths.claim_cancel(number))


def renew(paths: ArtifactPaths, number: int) -> None:
    """Renew the lease of attempt `number`: the file server puts its own time on the claim."""
    os.utime(paths.claim(number))


def renewed_at(paths: ArtifactPaths, number: int) -> float | None:
    """When attempt `number` was last renewed, by the file server's clock (seconds since 1970)."""
    try:
        return os.stat(paths.claim(number)).st_mtime
    except OSError:
        return None


def server_time(paths: ArtifactPaths) -> float | None:
    """The file server's clock (seconds since 1970), None when nothing can be written there."""
    probe = files.temporary_name(paths.claims + "/clock")
    try:
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        return os.stat(probe).st_mtime
    except OSError:
        return None
    finally:
        files.remove(probe)
