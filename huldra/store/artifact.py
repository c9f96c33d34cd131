"""One artifact on disk: the truth that `SUCCESS.json` is, and the labels around it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from huldra.errors import HuldraArtifactMissing
from huldra.settings import HULDRA_CONFIG
from huldra.store import claim, files
from huldra.store.claim import Ledger
from huldra.store.files import Folder, FolderGone
from huldra.store.layout import PRIVATE, ArtifactPaths
from huldra.store.process import Owner
from huldra.store.records import FORMAT, Attempt, AttemptStatus, Claim, State, now_text
from huldra.store.snapshot import derive, outcome_before
from huldra.store.success import is_complete

# As seen from `claims`.
_SUCCESS = "../SUCCESS.json"
_STATE = "../state.json"


def success_record(paths: ArtifactPaths, number: int, made_at: str) -> dict[str, Any]:
    """What `SUCCESS.json` holds: attempt `number` made the artifact."""
    digest = paths.directory.rpartition("/")[2]
    return {"huldra": FORMAT, "claim": number, "hash": digest, "made_at": made_at}


def publish(paths: ArtifactPaths, number: int, ledger: Ledger | None = None) -> bool:
    """Write the truth, which is that `N.end` says success; False where nothing says so any more.

    Each process that read that in `N.end` may write it: the owner, or one that finds that the owner
    did not come to it. All of them write the same. The owner hands in the `ledger` that it has
    ended its attempt in; another process looks again, in one folder, whether claim and end are
    there.
    """
    try:
        if ledger is not None:
            return _publish(paths, number, ledger)
        with Ledger(paths) as found:
            return found.says_success(number) and _publish(paths, number, found)
    except FolderGone:
        return False


def _publish(paths: ArtifactPaths, number: int, ledger: Ledger) -> bool:
    while True:
        record = files.object_bytes(success_record(paths, number, now_text()))
        files.write_atomic(_SUCCESS, record, sync=True, folder=ledger.folder)
        if HULDRA_CONFIG.durable:
            with Folder("..", ledger.folder) as private:
                private.sync()
        names = ledger.names()
        if str(number) not in names:
            # The artifact is being removed: what we wrote would stand for files that are gone.
            files.remove(_SUCCESS, folder=ledger.folder)
            return False
        # We may have been asleep since `N.end`, and our record, or the state that we wrote before
        # it, may just have replaced a newer attempt's. So each writer looks again, until what
        # stands is the last attempt's.
        if str(number + 1) not in names:
            return True
        newer = claim.last_attempt(paths)
        if newer is None or newer.number <= number:
            return True
        write_state(paths, newer, _queued_before(paths, newer))
        if not ledger.says_success(newer.number):
            return True
        number = newer.number


def retract_success(paths: ArtifactPaths, number: int, owner: Owner) -> None:
    """Take away a record that attempt `number`, which is the owner's, has voided already."""
    try:
        with Ledger(paths) as ledger:
            if not ledger.holds(number, owner):
                return
            files.remove(_SUCCESS, folder=ledger.folder)
            if HULDRA_CONFIG.durable:
                # Else a power cut may bring the record back, and take away the claim that voids it,
                # when `_create` has written into the files that it stands for.
                ledger.folder.sync()
    except FolderGone:
        return
    if claim.has_ended(paths, number):
        # We were asleep, and what we removed may have been our successor's.
        attempt = claim.last_attempt(paths)
        if attempt is not None and attempt.status is AttemptStatus.SUCCESS:
            publish(paths, attempt.number)


def remove_contents(paths: ArtifactPaths, before_each: Callable[[], None]) -> None:
    """Remove the user's files of an artifact: all in its directory but `.huldra`.

    `before_each` of them is called, and may raise. Raises `HuldraStoreError` for what stays.
    """
    try:
        with os.scandir(paths.directory) as entries:
            found = [entry for entry in entries if entry.name != PRIVATE]
        for entry in found:
            before_each()
            if entry.is_dir(follow_symlinks=False):
                files.remove_tree(entry.path)
            else:
                os.unlink(entry.path)
    except OSError as error:
        raise files.store_error(error, "remove what is left in", paths.directory) from error


def read_state(paths: ArtifactPaths) -> State:
    """What is known of the artifact, from `SUCCESS.json` and the claims: never out of date."""
    attempt = claim.last_attempt(paths)
    queued, before = _queued_before(paths, attempt), outcome_before(paths, attempt)
    return derive(attempt, queued, made=is_complete(paths), before=before)


def _queued_before(paths: ArtifactPaths, attempt: Attempt | None) -> Attempt | None:
    if attempt is None or attempt.claim.from_queued is None:
        return None
    return claim.read_attempt(paths, attempt.claim.from_queued)


def write_state(paths: ArtifactPaths, attempt: Attempt, queued: Attempt | None = None) -> None:
    """Write the summary of `attempt`, and make sure that it does not hide a newer attempt's."""
    write_summary(paths, attempt, queued)
    # We may have been asleep between our claim and this write, and another process may have gone
    # on. The last writer therefore looks again, until what stands is the summary of what is.
    while _is_outdated(paths, attempt):
        newer = claim.last_attempt(paths)
        if newer is None:
            return
        attempt, queued = newer, _queued_before(paths, newer)
        write_summary(paths, attempt, queued)


def write_summary(
    paths: ArtifactPaths,
    attempt: Attempt,
    queued: Attempt | None = None,
    ledger: Ledger | None = None,
) -> None:
    """Write the state of `attempt`, which may hide a newer attempt's: for callers that look next.

    With the `ledger` that the attempt was ended in, in that very artifact: `FolderGone` where it
    was removed. Raises `HuldraStoreError`.
    """
    state = derive(attempt, queued, before=outcome_before(paths, attempt))
    data = files.object_bytes(state.to_json())
    if ledger is None:
        files.write_atomic(paths.state, data, makes_folders=False)
    else:
        files.write_atomic(_STATE, data, folder=ledger.folder)


def _is_outdated(paths: ArtifactPaths, attempt: Attempt) -> bool:
    if attempt.end is None and claim.has_ended(paths, attempt.number):
        return True
    return files.path_exists(paths.claim(attempt.number + 1))


def write_metadata(paths: ArtifactPaths, record: Mapping[str, Any], patch: bytes | None) -> None:
    """Write down what is being computed; the patch first, for the record speaks of it."""
    if patch:
        files.write_atomic(paths.git_patch, patch, makes_folders=False)
    data = files.object_bytes(dict(record))
    files.write_atomic(paths.metadata, data, makes_folders=False)


def write_hidden_labels(
    hidden: ArtifactPaths, first: Claim, record: Mapping[str, Any], patch: bytes | None
) -> None:
    """Write the state and the metadata of a first attempt that no other process can see yet."""
    state = derive(Attempt(first))
    files.write_hidden(hidden.state, files.object_bytes(state.to_json()))
    if patch:
        files.write_hidden(hidden.git_patch, patch)
    files.write_hidden(hidden.metadata, files.object_bytes(dict(record)))


class StateManager:
    """Reads an artifact's state; the public way for tools that hold a directory.

    Nothing is written, nothing is locked, and no user code is imported.
    """

    @staticmethod
    def read(directory: str | os.PathLike[str]) -> State:
        """The state of the artifact in `directory`, as `SUCCESS.json` and the claims tell it."""
        return read_state(ArtifactPaths(os.path.abspath(os.fspath(directory))))

    @staticmethod
    def is_success(directory: str | os.PathLike[str]) -> bool:
        """Return True if the artifact in `directory` is made."""
        return is_complete(ArtifactPaths(os.path.abspath(os.fspath(directory))))

    @staticmethod
    def history(directory: str | os.PathLike[str]) -> list[Attempt]:
        """Every attempt at the artifact in `directory`, the oldest first.

        Raises `HuldraArtifactMissing` when there was no attempt.
        """
        paths = ArtifactPaths(os.path.abspath(os.fspath(directory)))
        attempts = claim.read_history(paths)
        if not attempts and not is_complete(paths):
            raise HuldraArtifactMissing(
                f"no attempt is recorded in {paths.directory}", directory=paths.directory
            )
        return attempts
