"""Claims: who may write into an artifact, decided by the one operation that races well.

`link(2)` gives a complete file a name, and fails when the name is taken. So

* attempt N belongs to the process that links `claims/N`: claim, owner and fencing number in one
  step;
* attempt N ends by linking `claims/N.end`: its owner and any process that finds the owner dead
  compete for that single name, and only the winner goes on. A check followed by a write would not
  do: a process can be paused in between, for days;
* attempt N+1 is linked only by someone who has seen `N.end`;
* a queued attempt starts by linking the new attempt's file to `N.end` first and to `N+1` second.
  The first link decides: who sees it alone takes attempt N+1 for claimed, by the owner whom the
  file names. So no process claims N+1 while the starter is between its two links, and if it died
  there, attempt N+1 is ended like that of any dead owner.

Nothing that decides is ever unlinked or replaced, so nothing live can be removed by mistake.

A whole artifact may be removed, by `rm` or a cleaner of scratch space, and made again. Then attempt
1 is another one. So a process ends or starts an attempt in a `Ledger`: one folder,
held open, in which the attempt is found to be the one that is meant, and in which the link is made.
In a folder that was removed meanwhile it fails.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Self

from huldra.errors import HuldraStoreError
from huldra.store import files
from huldra.store.files import Folder, FolderGone
from huldra.store.job_ref import JobRef
from huldra.store.layout import PRIVATE, ArtifactPaths
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
    """Return True if this very process holds the owner's claim."""
    return owner.token in _registered


class Ledger:
    """The claims of one artifact, in one folder that is held open.

    Raises `FolderGone` where there is none.
    """

    __slots__ = ("folder",)

    def __init__(self, paths: ArtifactPaths) -> None:
        self.folder = Folder(paths.claims)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.folder.__exit__()

    def token_of(self, number: int) -> str | None:
        """The token of the holder of attempt `number` here: None without one, "" if unreadable."""
        data = self.folder.read(str(number))
        if data is not None:
            return _token_in(files.parse_object(data) or {})
        # Between the two links of its start an attempt has the first name alone.
        end = files.parse_object(self.folder.read(f"{number - 1}.end") or b"")
        return _token_in(end) if end and end.get("claim") == number and "kind" in end else None

    def holds(self, number: int, owner: Owner) -> bool:
        """Return True if attempt `number` here is the owner's."""
        return self.token_of(number) == owner.token

    def names(self) -> set[str]:
        """The names of the claims, their ends and what stands beside them; none once removed."""
        try:
            return set(os.listdir(self.folder.descriptor))
        except OSError as error:
            refused = self.folder.error(error, "read", "")
            if isinstance(refused, FolderGone):
                return set()
            raise refused from error

    def end(self, end: End) -> bool:
        """End an attempt like this; False when it had ended before, which then stands."""
        name, data = f"{end.number}.end", files.object_bytes(end.to_json())
        if files.link_new(name, data, sync=True, folder=self.folder):
            return True
        # It may stand there by an earlier try of ours that was reported as failed.
        return self.folder.read(name) == data

    def end_without_word(self, number: int) -> None:
        """Let the claim of attempt `number` become its own end, too.

        A second name for a file that is there needs no data block, so this works on a full disk.
        Raises `OSError`.
        """
        at = self.folder.descriptor
        has_claim = self.folder.has(str(number))
        claim = str(number) if has_claim else f"{number - 1}.end"
        try:
            os.link(claim, f"{number}.end", src_dir_fd=at, dst_dir_fd=at)
        except FileExistsError:
            pass  # it has ended, by us or by another process

    def says_success(self, number: int) -> bool:
        """Return True if attempt `number` ended with success, by the word of who holds it here."""
        end = files.parse_object(self.folder.read(f"{number}.end") or b"") or {}
        if end.get("status") != AttemptStatus.SUCCESS:
            return False
        data = self.folder.read(str(number))
        return data is not None and files.parse_object(data) is not None


def _token_in(record: Mapping[str, Any]) -> str:
    owner = record.get("owner")
    return str(owner.get("token", "")) if isinstance(owner, dict) else ""


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
    """One attempt. An unreadable claim has no owner: its end decides, or its lease."""
    # One read decides whether the attempt has ended. To read and then to look whether the file
    # exists would take an end that appears in between for one that cannot be read.
    end = files.read_bytes(paths.claim_end(number))
    held = files.read_object(paths.claim(number)) or {}
    # Asked for only where it can be: not of a running attempt, nor where the claim itself names it.
    asks = held.get("kind") == QUEUED and not held.get("named_job")
    job = files.read_object(paths.claim_job(number)) if asks else None
    ended = None if end is None else files.parse_object(end) or {}
    is_cancelled = partial(is_cancel_requested, paths, number)
    return attempt_of(paths.key, number, held, ended, job, is_cancelled)


def read_claim(paths: ArtifactPaths, number: int) -> Claim:
    """The claim of attempt `number`. An unreadable one reads as one without an owner."""
    return Claim.from_json(number, files.read_object(paths.claim(number)) or {})


def is_claimed_by(paths: ArtifactPaths, number: int, owner: Owner) -> bool:
    """Return True if attempt `number` is the owner's, by the token that no other owner has."""
    data = files.read_bytes(paths.claim(number))
    return data is not None and f'"token": "{owner.token}"'.encode() in data


def read_history(paths: ArtifactPaths) -> list[Attempt]:
    """Every attempt that there was, the oldest first."""
    return [read_attempt(paths, number) for number in numbers(paths)]


def has_ended(paths: ArtifactPaths, number: int) -> bool:
    """Return True if attempt `number` is over; cheap enough to be asked often."""
    return files.path_exists(paths.claim_end(number))


def is_open(paths: ArtifactPaths, number: int) -> bool:
    """Return True if attempt `number` is there and has not ended; also where that is unknown.

    One look tells both: what a process asks before it begins something in its attempt.
    """
    try:
        names = os.listdir(paths.claims)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return str(number) in names and f"{number}.end" not in names


def claim_first(
    paths: ArtifactPaths,
    owner: Owner,
    lease: Lease,
    write_labels: Callable[[ArtifactPaths, Claim], None],
) -> Claim | None:
    """Claim attempt 1 of an artifact whose directory is new: all of `.huldra` appears in one step.

    It is written under a temporary name, the labels by `write_labels`, and then renamed, which
    fails if `.huldra` is there and holds anything: the claims of another process, to begin with.
    None then, also where the system refuses: `claim_next` decides. Raises `HuldraStoreError` where
    the claim cannot be written.
    """
    claim = Claim(1, RUNNING, owner, now_text(), lease=lease)
    hidden = ArtifactPaths(paths.directory, f"{PRIVATE}.{files.unique_suffix()}.tmp")
    try:
        try:
            os.mkdir(hidden.private)
            os.mkdir(hidden.claims)
        except FileNotFoundError:
            return None  # the artifact was removed meanwhile
        except OSError as error:
            raise files.store_error(error, "make the directory", hidden.claims) from error
        write_labels(hidden, claim)
        # Last: the lease counts from its time. And synced, before it can be seen.
        files.write_hidden(hidden.claim(1), files.object_bytes(claim.to_json()), sync=True)
        if files.rename_new(hidden.private, paths.private):
            return claim
        # An NFS server may have renamed it and lost its answer. Our token tells: no other has it.
        if is_claimed_by(paths, 1, owner):
            return claim
    except FolderGone:
        return None  # removed meanwhile, and what we wrote with it
    except BaseException:
        files.remove_hidden(hidden.private)
        raise
    files.remove_hidden(hidden.private)
    return None


def claim_next(
    paths: ArtifactPaths,
    number: int,
    owner: Owner,
    *,
    kind: str = RUNNING,
    run_id: str | None = None,
    job_hint: Mapping[str, Any] | None = None,
    lease: Lease | None = None,
    after: int = 0,
) -> Claim | None:
    """Try for attempt `number`; None when another process was first.

    `after` is the attempt whose end was seen. Where that is not there any more, the artifact was
    removed, and attempt `number` is not the next: None, too.
    """
    claim = Claim(number, kind, owner, now_text(), run_id, None, job_hint, lease)
    data = files.object_bytes(claim.to_json())
    # A queued claim that a power cut loses costs nothing: its job claims again. So it is not
    # synced.
    sync = kind == RUNNING
    if not after:
        return claim if files.link_new(paths.claim(number), data, sync=sync) else None
    try:
        with Ledger(paths) as ledger:
            if not ledger.folder.has(f"{after}.end"):
                return None
            won = files.link_new(str(number), data, sync=sync, folder=ledger.folder)
    except FolderGone:
        return None
    return claim if won else None


def start_queued(
    paths: ArtifactPaths, queued: Claim, owner: Owner, lease: Lease | None = None
) -> Claim | None:
    """Turn a queued claim into the next, running one; None when it was ended before.

    Also None when attempt N+1 was there already: a process that does not get both names has not got
    the attempt. And where the artifact was removed, so that `queued` is not there any more.
    """
    before, number = queued.number, queued.number + 1
    claim = Claim(
        number, RUNNING, owner, now_text(), queued.run_id, from_queued=before, lease=lease
    )
    data = files.object_bytes(claim.to_json())
    try:
        with Ledger(paths) as ledger:
            if not ledger.holds(before, queued.owner):
                return None
            names = (f"{before}.end", str(number))
            won = files.link_new(names[0], data, sync=True, also=names[1], folder=ledger.folder)
    except FolderGone:
        return None
    return claim if won else None


def end_attempt(
    paths: ArtifactPaths,
    number: int,
    status: AttemptStatus,
    by: Owner,
    error: ErrorRecord | None = None,
    *,
    of: Owner | None = None,
) -> End | None:
    """End attempt `number`; None when it had ended before, which then stands.

    `of` is its believed holder. Where it has another one by now, or none, the artifact
    was removed meanwhile, and nothing is ended: None, too.
    """
    end = End(number, status.value, now_text(), by, error)
    try:
        with Ledger(paths) as ledger:
            if of is not None and not ledger.holds(number, of):
                return None
            return end if ledger.end(end) else None
    except FolderGone:
        return None


def end_without_record(paths: ArtifactPaths, number: int, *, of: Owner | None = None) -> bool:
    """End attempt `number` when there is no room left to say how: the claim becomes its own end.

    `of` is as in `end_attempt`. False when the disk refuses even that.
    """
    try:
        with Ledger(paths) as ledger:
            if of is None or ledger.holds(number, of):
                ledger.end_without_word(number)
    except FolderGone:
        return True
    except (OSError, HuldraStoreError):
        return False
    return True


def bind_job(paths: ArtifactPaths, number: int, ref: JobRef) -> None:
    """Record the engine's job of a queued attempt: from now on the engine says whether it lives."""
    _write_beside(paths, f"{number}.job", ref.to_json())


def request_cancel(paths: ArtifactPaths, number: int, by: Owner) -> None:
    """Ask the owner of attempt `number` to stop."""
    _write_beside(paths, f"{number}.cancel", {"by": by.to_json(), "at": now_text()})


def _write_beside(paths: ArtifactPaths, name: str, record: dict[str, Any]) -> None:
    """Write what speaks of an attempt; nothing where it was removed, and the artifact with it."""
    try:
        with Ledger(paths) as ledger:
            files.write_atomic(name, files.object_bytes(record), folder=ledger.folder)
    except FolderGone:
        pass


def is_cancel_requested(paths: ArtifactPaths, number: int) -> bool:
    """Return True if attempt `number` was asked to stop."""
    return files.path_exists(paths.claim_cancel(number))


def renew(paths: ArtifactPaths, number: int, owner: Owner) -> bool:
    """Renew the owner's lease: the file server puts its own time on the claim of attempt `number`.

    False when that claim is not there any more, or is another owner's: the artifact was removed.
    Raises `OSError` where the disk refuses.
    """
    try:
        if not is_claimed_by(paths, number, owner):
            return False
        os.utime(paths.claim(number))
    except FileNotFoundError:
        return False
    except HuldraStoreError as error:
        raise error.__cause__ or OSError(str(error)) from error
    return True


def is_gone(paths: ArtifactPaths, number: int) -> bool:
    """Return True if attempt `number` was removed; cheap enough to be asked often."""
    try:
        os.stat(paths.claim(number))
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False  # unknown is not gone
    return False


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
