"""Claims: who may write into an artifact, decided by the one operation that races well.

`link(2)` gives a complete file a name, and fails when the name is taken. So

* turn N belongs to whoever links `claims/N`: claim, owner and fencing number in one step;
* turn N ends by linking `claims/N.end`: its owner and anybody who thinks the owner dead compete
  for that single name, and only the winner goes on. A check followed by a write would not do: a
  process can be paused in between, for days;
* turn N+1 is linked only by someone who has seen `N.end`;
* a queued turn starts by linking the new turn's file to `N.end` first and to `N+1` second. The
  first link decides: who sees it alone takes turn N+1 for claimed, by the owner whom the file
  names. So nobody claims N+1 while the starter is between its two links, and if it died there, turn
  N+1 is ended like that of any dead owner.

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
    AttemptStatus,
    Claim,
    End,
    ErrorRecord,
    Lease,
    Turn,
    begun_after,
    now_text,
    turn_of,
)

# Tokens of the claims that this process holds. A claim of ours that is not in here was lost on the
# way (an exception between claim and attempt): it is dead, although our process is alive.
_held: set[str] = set()
os.register_at_fork(after_in_child=_held.clear)


def hold(owner: Owner) -> None:
    """Count the owner's claim as alive while this process lives, until `let_go`."""
    _held.add(owner.token)


def let_go(owner: Owner) -> None:
    """Count the owner's claim as dead from now on, if it has not ended."""
    _held.discard(owner.token)


def is_held(owner: Owner) -> bool:
    """Whether this very process holds the owner's claim."""
    return owner.token in _held


def last_number(paths: ArtifactPaths) -> int:
    """The number of the last turn, 0 when there was none."""
    return max(numbers(paths), default=0)


def numbers(paths: ArtifactPaths) -> list[int]:
    """The numbers of the turns that left a file, the oldest first."""
    try:
        names = os.listdir(paths.claims)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise files.store_error(error, "read", paths.claims) from error
    return sorted({number for name in names if (number := _number_of(name))})


def _number_of(name: str) -> int:
    # An end counts without its claim, too: the claim may be lost, and a turn that has ended must
    # never be claimed again. `007` or `٣` are not ours: such a turn could not be found by its name.
    stem = name.removesuffix(".end")
    return int(stem) if stem.isdecimal() and stem.isascii() and stem[0] != "0" else 0


def last_turn(paths: ArtifactPaths) -> Turn | None:
    """The last turn, as the disk knows it."""
    number = last_number(paths)
    if not number:
        return None
    # Its job may be between the two links of its start, or the second came after we listed.
    return begun_after(read_turn(paths, number))


def read_turn(paths: ArtifactPaths, number: int) -> Turn:
    """One turn. An unreadable claim reads as one of nobody: its end decides, or its lease."""
    # One read decides whether the turn has ended. To read and then to look whether the file exists
    # would take an end that appears in between for one that cannot be read.
    end = files.read_bytes(paths.claim_end(number))
    held = files.read_object(paths.claim(number)) or {}
    # Asked for only where it can be: not of a running turn, nor where the claim itself names it.
    asks = held.get("kind") == QUEUED and not held.get("named_job")
    job = files.read_object(paths.claim_job(number)) if asks else None
    ended = None if end is None else files.parse_object(end) or {}
    return turn_of(paths.key, number, held, ended, job)


def read_claim(paths: ArtifactPaths, number: int) -> Claim:
    """Who has turn `number`. An unreadable claim reads as one of nobody."""
    return Claim.from_json(number, files.read_object(paths.claim(number)) or {})


def is_claimed_by(paths: ArtifactPaths, number: int, owner: Owner) -> bool:
    """Whether turn `number` is the owner's; asks the file for the token, which nobody else has."""
    data = files.read_bytes(paths.claim(number))
    return data is not None and f'"token": "{owner.token}"'.encode() in data


def read_history(paths: ArtifactPaths) -> list[Turn]:
    """Every turn that there was, the oldest first."""
    return [read_turn(paths, number) for number in numbers(paths)]


def has_ended(paths: ArtifactPaths, number: int) -> bool:
    """Whether turn `number` is over; cheap enough to be asked often."""
    return files.is_there(paths.claim_end(number))


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
    """Try for turn `number`, the turn before having ended; None when somebody was first."""
    claim = Claim(number, kind, owner, now_text(), run_id, None, job_hint, lease)
    data = files.object_bytes(claim.to_json())
    # A queued claim that a power cut loses costs nothing: its job claims anew. So it is not synced.
    if files.link_new(paths.claim(number), data, sync=kind == RUNNING):
        return claim
    return None


def start_queued(
    paths: ArtifactPaths, queued: Claim, owner: Owner, lease: Lease | None = None
) -> Claim | None:
    """Turn a queued claim into the next, running one; None when it was ended before.

    Also None when turn N+1 was there already: whoever does not get both names has not got the turn.
    """
    number = queued.number + 1
    claim = Claim(
        number, RUNNING, owner, now_text(), queued.run_id, from_queued=queued.number, lease=lease
    )
    data = files.object_bytes(claim.to_json())
    won = files.link_new(paths.claim_end(queued.number), data, sync=True, also=paths.claim(number))
    return claim if won else None


def end_turn(
    paths: ArtifactPaths,
    number: int,
    status: AttemptStatus,
    by: Owner,
    error: ErrorRecord | None = None,
) -> End | None:
    """End turn `number`; None when it had ended before, which then stands."""
    end = End(number, status.value, now_text(), by, error)
    data = files.object_bytes(end.to_json())
    return end if files.link_new(paths.claim_end(number), data, sync=True) else None


def abandon(paths: ArtifactPaths, number: int) -> None:
    """End turn `number` when there is no room left to say how: the claim becomes its own end.

    A second name for a file that is there needs no data block, so this works on a full disk.
    """
    try:
        os.link(paths.claim(number), paths.claim_end(number))
    except OSError:
        pass  # ended already, or the disk is gone: then the process's death is what others will see


def bind_job(paths: ArtifactPaths, number: int, ref: JobRef) -> None:
    """Record the engine's job of a queued turn: from now on the engine says whether it lives."""
    files.write_atomic(paths.claim_job(number), files.object_bytes(ref.to_json()))


def request_cancel(paths: ArtifactPaths, number: int, by: Owner) -> None:
    """Ask the owner of turn `number` to stop."""
    record = {"by": by.to_json(), "at": now_text()}
    files.write_atomic(paths.claim_cancel(number), files.object_bytes(record))


def is_cancel_requested(paths: ArtifactPaths, number: int) -> bool:
    """Whether somebody asked turn `number` to stop."""
    return files.is_there(paths.claim_cancel(number))


def beat(paths: ArtifactPaths, number: int) -> None:
    """Renew the lease of turn `number`: the file server puts its own time on the claim."""
    os.utime(paths.claim(number))


def last_beat(paths: ArtifactPaths, number: int) -> float | None:
    """When turn `number` was last renewed, by the file server's clock (seconds since 1970)."""
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
