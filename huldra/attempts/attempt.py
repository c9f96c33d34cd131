"""The life of one attempt: the same code in the caller's process and on every worker.

`obtain` leaves the artifact made, once, however many want it: it loads nothing itself. Between
the claim and its end all ways out are recorded. What decides is in `claim`; here is the order:

    claim N → state → metadata → look → `_create` → `_validate` → sync → N.end → state →
    SUCCESS.json → look

Losing N.end means that the claim was taken over: then nothing is published.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, Protocol

from huldra.attempts import context, heartbeat, signals
from huldra.attempts.heartbeat import LeaseRenewal
from huldra.attempts.usage import Meter
from huldra.attempts.waiting import Waiting, error_of
from huldra.engines.output import keeping_output
from huldra.errors import (
    HuldraCancelled,
    HuldraClaimLost,
    HuldraComputeError,
    HuldraCycleError,
    HuldraDependencyError,
    HuldraError,
    HuldraStoreError,
    HuldraValidationError,
)
from huldra.logs.capture import capture, get_logger
from huldra.settings import HULDRA_CONFIG
from huldra.store import artifact, claim, durability, retries, success
from huldra.store.files import FolderGone
from huldra.store.layout import ArtifactPaths
from huldra.store.process import LOCAL, Owner, new_owner
from huldra.store.records import (
    QUEUED,
    Attempt,
    AttemptStatus,
    Claim,
    End,
    ErrorRecord,
    Lease,
    now_text,
)

_DEAF_GRACE_S = 2.0  # from SIGTERM until a process that did not end by it is ended
_END_PAUSES_S = (0.05, 0.5, 2.0)  # between tries to record an end that could not be repeated
_UNSEEN_S = 1.0  # from the writing of a claim until its owner looks again before it begins
_MAX_LOSSES = 5  # claims that one call loses before it gives up


class Makeable(Protocol):
    """What an attempt needs of a config."""

    def _create(self) -> Any: ...

    def _huldra_keep(self, value: Any) -> None: ...

    def _validate(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Request:
    """One wish: make `obj` in `paths`, waiting for others at most `wait_limit_s`.

    `queued` is the queued attempt that this job was sent for. `metadata` gives the artifact's
    metadata, as it stands on disk, and the git patch; it is called before `_create`. `is_new`: its
    directory was made for this request. `begins_clean`: what earlier attempts have left of the
    user's files goes before `_create` runs.
    """

    obj: Makeable
    key: str
    paths: ArtifactPaths
    wait_limit_s: float | None
    metadata: Callable[[], tuple[Mapping[str, Any], bytes | None]]
    queued: Claim | None = None
    is_new: bool = False
    begins_clean: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """What `_create` returned, in the process that it ran in."""

    value: Any


@dataclass(frozen=True, slots=True)
class Found:
    """The artifact is complete, and another attempt made it."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The attempt is another process's: claimed before us, or, with an `error`, taken from us."""

    error: HuldraClaimLost | None = None


Outcome = Made | Found | Lost
_WriteLabels = Callable[[ArtifactPaths, Claim], None]


def is_valid(obj: Makeable, key: str, paths: ArtifactPaths) -> bool:
    """Return True if `_validate` accepts what is in the directory, and `HULDRA_CODE` its code.

    What `_validate` raises is no answer: it reaches the caller, with a note, and voids nothing.
    """
    try:
        is_good = obj._validate()  # noqa: SLF001  the protocol's own method
        _refuse_unrun(obj, "_validate", is_good)
    except Exception as error:
        error.add_note(
            f"huldra: _validate of {key} raised this exception, so the artifact stays as it is in"
            f" {paths.directory}; return False from _validate to have it computed again"
        )
        raise
    return bool(is_good) and _counts_with_its_code(obj, key, paths)


def _counts_with_its_code(obj: Makeable, key: str, paths: ArtifactPaths) -> bool:
    """Return False for an artifact of other code where `HULDRA_CODE` is `strict`."""
    mode = HULDRA_CONFIG.code
    if mode in ("off", "label"):
        return True
    from huldra.provenance import code_difference

    difference = code_difference.of_class(type(obj), paths)
    if difference is not None and mode == "warn":
        get_logger().warning(
            "%s: %s; if that does not matter: huldra accept %s", key, difference, key
        )
    return difference is None or mode == "warn"


def _is_valid(request: Request) -> bool:
    return is_valid(request.obj, request.key, request.paths)


def _refuse_unrun(obj: Any, method: str, value: object) -> None:
    """Raise for a coroutine or a generator: what was called has not run, and never will."""
    if not isinstance(value, CoroutineType | GeneratorType | AsyncGeneratorType):
        return
    if isinstance(value, CoroutineType):
        value.close()  # without the warning that it was never awaited
    raise TypeError(
        f"{type(obj).__qualname__}.{method} returned a {type(value).__name__}, which has not run;"
        f" run it inside {method} (asyncio.run(...), list(...)) and return its result"
    )


def obtain(request: Request) -> Made | None:
    """Leave the artifact made: by `_create` here (`Made`), or by another process (None).

    `request.queued` is this job's own queued attempt; it may have been removed meanwhile.

    Raises `HuldraComputeError` when `_create` failed, here or in the attempt that was waited for,
    `HuldraWaitTimeout`, `HuldraCycleError`, `HuldraStoreError`, `HuldraClaimLost` when the claim
    was taken away again and again, and what `_validate` raises of an artifact that is made.
    """
    context.refuse_cycle(request.key, request.paths)
    outcome = _obtain_alone(request)
    if isinstance(outcome, Lost):
        request = _without_removed_queue(request)
        if request.queued is not None:
            _refuse_withdrawn(request, request.queued.number)
        outcome = _obtain_among_others(request)
    return outcome if isinstance(outcome, Made) else None


def _obtain_alone(request: Request) -> Outcome:
    """Take the attempt that most often just waits for us: the one queued for us, or the very first.

    Where that is not so any more, the claim says so.
    """
    if request.queued is None and not request.is_new:
        return Lost()
    first = Attempt(request.queued) if request.queued else None
    return _take(request, first, is_first=first is None)


def _without_removed_queue(request: Request) -> Request:
    """Forget a queued attempt that was removed with its artifact: its number is another's now."""
    mine = request.queued
    if mine is None or claim.is_claimed_by(request.paths, mine.number, mine.owner):
        return request
    return replace(request, queued=None)


def _obtain_among_others(request: Request) -> Made | Found:
    waiting = Waiting(request.key, request.paths, request.wait_limit_s)
    settled = losses = 0
    while True:
        # In this order: a record that is voided goes after the claim that voids it has come.
        record = success.read_success(request.paths)
        if record is not None and _is_valid(request):
            return Found()
        attempt = claim.last_attempt(request.paths)
        if attempt is not None and attempt.end is None:
            waiting.step(attempt)
        elif (
            attempt is not None
            and attempt.status is AttemptStatus.SUCCESS
            and attempt.number != settled
        ):
            # Made since we looked, or its owner did not come to saying so. Opening an attempt would
            # void what is good; what is missing is written down instead.
            settled = attempt.number
            if not success.is_complete(request.paths):
                artifact.publish(request.paths, attempt.number)
        else:
            if attempt is not None:
                waiting.refuse_failure(attempt)
                _refuse_cancelled(request, attempt)
            outcome = _take(request, attempt, record["claim"] if record is not None else 0)
            if not isinstance(outcome, Lost):
                return outcome
            losses += outcome.error is not None
            if outcome.error is not None and losses == _MAX_LOSSES:
                raise outcome.error
            waiting.lose_to(attempt.number + 1 if attempt else 1)


def _refuse_withdrawn(request: Request, number: int) -> None:
    """Raise if the queued attempt of this job ended because the job is not wanted any more.

    A cancel and the start of the job compete for the attempt's end; here the cancel was first.
    """
    end = claim.read_attempt(request.paths, number).end
    if end is None or end.status not in (AttemptStatus.CANCELLED, AttemptStatus.FAILED):
        return
    if end.status == AttemptStatus.FAILED:
        raise error_of(request.key, request.paths, end.error)
    raise HuldraCancelled(f"{request.key} was cancelled; {request.paths.directory}")


def _refuse_cancelled(request: Request, attempt: Attempt) -> None:
    """Raise if `attempt` is a run of this very job that was cancelled."""
    queued = request.queued
    is_ours = queued is not None and attempt.number > queued.number
    if is_ours and attempt.status is AttemptStatus.CANCELLED:
        raise HuldraCancelled(f"{request.key} was cancelled; {request.paths.directory}")


def _take(
    request: Request, previous: Attempt | None, voided: int = 0, *, is_first: bool = False
) -> Outcome:
    """Claim the attempt after `previous` and go through with it.

    `voided` is the attempt of a record that is not valid and came without its claims; 0: none such.
    `is_first`: no other process is known to have been here.
    """
    worker = context.worker.get() or context.WorkerContext(LOCAL)
    owner = new_owner(worker.backend, worker.job)
    with signals.guarded(worker.signals) as guard:
        claim.register(owner)
        try:
            labels = _labels_of(request) if is_first else None
            if is_first and labels is None:
                return Lost()
            since_s = heartbeat.uptime_s()
            mine = _claim(request, previous, owner, voided, labels)
            if mine is None:
                return Lost()
            running = _RunningAttempt(request, mine, owner, worker, guard, since_s)
            running.has_labels = is_first
            return running.run(previous, voided)
        except BaseException:
            # A handler of the user's own (SIGALRM, for example) may raise anywhere, and the disk
            # may refuse the second name of a start.
            if owner.pid == os.getpid():
                retries.until_done(partial(_has_left_nothing_open, request.paths, owner))
            raise
        finally:
            claim.unregister(owner)


def _is_first(attempt: Attempt) -> bool:
    """Return True if nothing can have been made by the end of this attempt."""
    return attempt.number == 1 and attempt.claim.kind == QUEUED


def _has_left_nothing_open(paths: ArtifactPaths, owner: Owner) -> bool:
    """End the owner's attempt where it has one that is open; False when the disk refuses.

    Other processes would take its claim for alive as long as this process lives.
    """
    try:
        attempt = claim.last_attempt(paths)
    except HuldraStoreError:
        return False
    if attempt is None or attempt.end is not None or attempt.claim.owner.token != owner.token:
        return True
    return claim.end_without_record(paths, attempt.number, of=owner)


def _claim(
    request: Request,
    previous: Attempt | None,
    owner: Owner,
    voided: int,
    labels: _WriteLabels | None,
) -> Claim | None:
    lease = Lease(HULDRA_CONFIG.lease, HULDRA_CONFIG.heartbeat)
    if labels is not None:
        return claim.claim_first(request.paths, owner, lease, labels)
    if previous is not None and previous.end is None:
        return claim.start_queued(request.paths, previous.claim, owner, lease)
    after = previous.number if previous else 0
    number = max(after, voided) + 1
    run_id = request.queued.run_id if request.queued else None
    return claim.claim_next(request.paths, number, owner, run_id=run_id, lease=lease, after=after)


def _labels_of(request: Request) -> _WriteLabels | None:
    """What writes the labels that appear with the first claim; None where they cannot be had."""
    try:
        record, patch = request.metadata()
    except Exception:  # noqa: BLE001  of the user's `_dependencies`: it fails the attempt, once there is one
        return None

    def write(hidden: ArtifactPaths, first: Claim) -> None:
        try:
            artifact.write_hidden_labels(hidden, first, record, patch)
        except FolderGone:
            raise
        except HuldraStoreError as error:
            get_logger().warning("%s; _create runs anyway", error)

    return write


class _RunningAttempt:
    """One attempt that is ours, claimed at `since_s` or a little later.

    Times are of a clock that goes on in a suspended process, and on a machine that sleeps.
    """

    def __init__(
        self,
        request: Request,
        mine: Claim,
        owner: Owner,
        worker: context.WorkerContext,
        guard: signals.Guard,
        since_s: float,
    ) -> None:
        self.request = request
        self.paths = request.paths
        self.claim = mine
        self.owner = owner
        self.worker = worker
        self.guard = guard
        self.pid = os.getpid()
        self.is_ended = False
        self.queued = Attempt(request.queued) if request.queued else None
        self.since_s = since_s
        self.has_labels = False  # they came with the claim
        self.step = "_create"  # the user's method that runs, or ran last
        self.meter = Meter(owns_process=worker.owns_process)

    def run(self, previous: Attempt | None, voided: int) -> Outcome:
        """Make the artifact, or find under the claim that it is made."""
        renewal = self._renewal()
        try:
            heartbeat.start(renewal)
            if previous and self._was_made(previous) and self._is_still_valid():
                self._publish()
                return Found()
            if voided or (previous and not _is_first(previous)):
                artifact.retract_success(self.paths, self.claim.number, self.owner)
            if self.request.begins_clean:
                self._refuse_if_lost()
                artifact.remove_contents(self.paths, self._refuse_if_lost)
            return self._make()
        except HuldraClaimLost as lost:
            get_logger().warning("%s", lost)
            return Lost(lost)
        finally:
            heartbeat.stop(renewal)
            if not self.is_ended and os.getpid() == self.pid:
                self._end_without_word()

    def _end_without_word(self) -> None:
        """End our attempt in the one way that a full disk may still allow, now or later."""
        self.is_ended = True
        retries.until_done(
            partial(claim.end_without_record, self.paths, self.claim.number, of=self.owner)
        )

    def _was_made(self, previous: Attempt) -> bool:
        """Return True if the last attempt that began anything before ours ended with success.

        Queued attempts before ours began nothing: that they were opened, by a driver that looked
        just before the artifact was made, discards no result.
        """
        attempt = previous
        while attempt.claim.kind == QUEUED and attempt.number > 1:
            attempt = claim.read_attempt(self.paths, attempt.number - 1)
        return attempt.status is AttemptStatus.SUCCESS

    def _is_still_valid(self) -> bool:
        """Return True if `_validate` accepts the existing result, which stays if it raises.

        Our claim has voided the record, so it is this attempt that puts it back.
        """
        try:
            return _is_valid(self.request)
        except Exception:
            self._publish()
            raise

    def _refuse_if_lost(self) -> None:
        """Begin nothing in an attempt that was ended, or removed, while this process was asleep."""
        if not claim.is_open(self.paths, self.claim.number):
            raise self._lost()

    def _lost(self) -> HuldraClaimLost:
        self.is_ended = True
        return HuldraClaimLost(
            f"{self.request.key}: another process took over attempt {self.claim.number} while this"
            " process was suspended, or its directory was removed; its result was not published in"
            f" {self.paths.directory}",
            directory=self.paths.directory,
        )

    def _renewal(self) -> LeaseRenewal:
        lease_s = HULDRA_CONFIG.lease
        interval_s = HULDRA_CONFIG.heartbeat
        return LeaseRenewal(
            self.paths,
            self.claim.number,
            self.owner,
            interval_s,
            lease_s,
            self._alarm,
            self.worker.owns_process,
            self.since_s,
        )

    def _alarm(self, reason: str) -> None:
        """Stop `_create`, where the process is ours to stop: a successor may be on its way."""
        if not self.worker.owns_process:
            get_logger().error(
                "%s: %s; _create keeps running because huldra does not own this process; its"
                " result is discarded if another process took over the claim",
                self.request.key,
                reason,
            )
            return
        get_logger().error("%s: %s; this process ends", self.request.key, reason)
        # To the main thread: a signal to the process may reach this one, and the main sleeps on.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        # Code that holds the interpreter, or swallows what the handler raises, does not end by it;
        # leaving is what keeps the successor's directory its own.
        grace_s = min(_DEAF_GRACE_S, max(0.5, HULDRA_CONFIG.heartbeat / 2))
        timer = threading.Timer(grace_s, self._leave)
        timer.daemon = True
        timer.start()

    def _leave(self) -> None:
        """End the process, unless the attempt has ended: then it may be about something else.

        An attempt that was asked to stop is recorded as cancelled first, so that no engine takes
        the death of its process for one that is worth another try.
        """
        if self.is_ended:
            return
        try:
            if claim.is_cancel_requested(self.paths, self.claim.number):
                status, me = AttemptStatus.CANCELLED, self.owner
                claim.end_attempt(self.paths, self.claim.number, status, me, of=me)
        finally:
            os._exit(75)

    def _make(self) -> Made:
        with capture(self.paths.log, stays=self.worker.owns_process) as log:
            log.note(self._beginning())
            value = self._created(log)
            # A forked child may have come out of `_create`, too: it decides nothing.
            if os.getpid() == self.pid:
                if HULDRA_CONFIG.durable:
                    durability.sync_contents(self.paths)
                self._publish()
                log.note(self._ending(AttemptStatus.SUCCESS))
        return Made(value)

    def _created(self, log: capture) -> Any:
        """What `_create` returned; any other way out of it is recorded."""
        making = context.Making(self.request.key, self.paths.directory, self.claim.number)
        with context.making_artifact(making), self._output_kept():
            try:
                self._begin()
                return self._create_and_validate()
            except BaseException as error:
                self.guard.interruptible = False
                if os.getpid() != self.pid:
                    raise  # a forked child on its way out of our frames: it is not the owner
                if self.is_ended:
                    raise  # lost before `_create` began: there is nothing to record
                self._record(error, log)
                seen = self._translated(error)
                if seen is error:
                    raise
                raise seen from error

    def _begin(self) -> None:
        """Write the labels where they are not there yet, and see that the attempt is still ours.

        Who has just claimed it need not look: other processes take us for dead once the lease is
        over, and no sooner. How long it took tells: a server may have hung in our rename.
        """
        if not self.has_labels:
            self._write_labels()
        if not self.has_labels or heartbeat.uptime_s() - self.since_s > _longest_unseen_s():
            self._refuse_if_taken()

    def _write_labels(self) -> None:
        """Write the state and the metadata: no computation is given up for them."""
        for write in (self._write_running, self._write_metadata):
            try:
                write()
            except HuldraError as error:
                get_logger().warning("%s; _create runs anyway", error)

    def _write_running(self) -> None:
        artifact.write_summary(self.paths, Attempt(self.claim), self.queued)

    def _write_metadata(self) -> None:
        artifact.write_metadata(self.paths, *self.request.metadata())

    def _refuse_if_taken(self) -> None:
        """Look once, after the labels are written and just before `_create` begins.

        Where our attempt was ended meanwhile, the state that we wrote may hide a newer one's.
        """
        try:
            self._refuse_if_lost()
        except HuldraClaimLost:
            with contextlib.suppress(HuldraStoreError):
                artifact.write_state(self.paths, Attempt(self.claim), self.queued)
            raise

    def _beginning(self) -> str:
        job = self.owner.job
        return (
            f"{now_text()} INFO huldra attempt {self.claim.number} began: host {self.owner.host},"
            f" pid {self.owner.pid}" + (f", {job.engine} job {job.job_id}" if job else "") + "\n"
        )

    def _ending(self, status: AttemptStatus) -> str:
        level = "INFO" if status is AttemptStatus.SUCCESS else "ERROR"
        used = self.meter.read()
        return (
            f"{now_text()} {level} huldra attempt {self.claim.number} ended: {status.value} after"
            f" {used.wall_s:.1f} s, peak memory {1024 * (used.peak_memory_gb or 0):.0f} MiB\n"
        )

    def _output_kept(self) -> contextlib.AbstractContextManager[None]:
        """Keep what `_create` prints, in a process that is ours; elsewhere it is the user's."""
        if not self.worker.owns_process:
            return contextlib.nullcontext()
        owner = self.owner
        headline = f"attempt {self.claim.number}, {owner.host} pid {owner.pid}, {now_text()}"
        return keeping_output(self.paths.output, headline)

    def _publish(self) -> None:
        self._end(AttemptStatus.SUCCESS)

    def _create_and_validate(self) -> Any:
        self.guard.admit()
        value = self.request.obj._create()  # noqa: SLF001  the protocol's own method
        _refuse_unrun(self.request.obj, "_create", value)
        self.step = "storing its result"
        self.request.obj._huldra_keep(value)  # noqa: SLF001  the protocol's own method
        self.step = "_validate"
        is_good = self.request.obj._validate()  # noqa: SLF001  the protocol's own method
        _refuse_unrun(self.request.obj, "_validate", is_good)
        self.guard.interruptible = False
        if not is_good:
            raise HuldraValidationError(
                f"{self.request.key}: _create returned, but _validate still returns False for the"
                f" files in {self.paths.directory}",
                state_path=self.paths.state,
                directory=self.paths.directory,
            )
        return value

    def _record(self, error: BaseException, log: capture) -> None:
        status = self._status_of(error)
        record = error_record(error) if status is AttemptStatus.FAILED else None
        log.note(self._ending(status) + (record.traceback if record else f"{error!r}\n"))
        try:
            end = self._end(status, record)
        except HuldraClaimLost as lost:
            get_logger().warning("%s", lost)  # the caller hears of what happened to its own code
        else:
            self._tell_state(end)

    def _status_of(self, error: BaseException) -> AttemptStatus:
        if isinstance(error, signals.Terminated) or self.guard.terminated:
            is_cancel = claim.is_cancel_requested(self.paths, self.claim.number)
            by_engine = context.was_cancelled.get()
            is_cancel = is_cancel or (by_engine is not None and by_engine())
            return AttemptStatus.CANCELLED if is_cancel else AttemptStatus.PREEMPTED
        if isinstance(error, Exception | SystemExit) and not isinstance(error, HuldraCancelled):
            return AttemptStatus.FAILED
        return AttemptStatus.CANCELLED  # Ctrl-C, and what other loops end their tasks with

    def _translated(self, error: BaseException) -> BaseException:
        """What the caller sees."""
        where = {"state_path": self.paths.state, "directory": self.paths.directory}
        if isinstance(error, signals.Terminated):
            name = signal.Signals(error.signum).name
            return HuldraCancelled(f"{self.request.key}: ended by {name}; {self.paths.directory}")
        if isinstance(error, _TOLD_AS_THEY_ARE):
            return error
        if isinstance(error, Exception | SystemExit) and not isinstance(error, HuldraCancelled):
            raised = f"{_type_name(type(error))}: {_safe_text(error)}"
            return HuldraComputeError(
                f"{self.request.key}: {self.step} raised {raised};"
                f" directory: {self.paths.directory}, log: {self.paths.log}",
                original_error=error,
                **where,
            )
        return error

    def _end(self, status: AttemptStatus, error: ErrorRecord | None = None) -> End:
        """End our attempt; a success is published with it.

        Raises `HuldraClaimLost` when it is not ours any more.
        Raises `HuldraStoreError` when the disk refuses, also a while later where it is a result or
        an error that could not be repeated; then the attempt is ended without a word.
        """
        end = End(self.claim.number, status.value, now_text(), self.owner, error, self.meter.read())
        is_worth_it = status in (AttemptStatus.SUCCESS, AttemptStatus.FAILED)
        for pause_s in _END_PAUSES_S if is_worth_it else ():
            try:
                return self._try_to_end(end)
            except HuldraStoreError as refused:
                get_logger().warning("%s; trying again in %g s", refused, pause_s)
                time.sleep(pause_s)
        try:
            return self._try_to_end(end)
        except HuldraStoreError:
            self._end_without_word()
            raise

    def _try_to_end(self, end: End) -> End:
        try:
            with claim.Ledger(self.paths) as ledger:
                if not (ledger.holds(end.number, self.owner) and ledger.end(end)):
                    raise self._lost()
                self.is_ended = True
                if end.status == AttemptStatus.SUCCESS:
                    self._write_success(end, ledger)
        except FolderGone as gone:
            raise self._lost() from gone
        return end

    def _write_success(self, end: End, ledger: claim.Ledger) -> None:
        """Write the record of what our end has decided; a disk that refuses loses no result.

        The state goes first: so the writer of the record looks once, for both, whether they hide a
        newer attempt's.
        """
        paths, number = self.paths, self.claim.number
        try:
            artifact.write_summary(paths, Attempt(self.claim, end), self.queued, ledger)
        except FolderGone:
            raise
        except HuldraStoreError as error:
            get_logger().warning("%s", error)
        try:
            if not artifact.publish(paths, number, ledger):
                raise self._lost()
        except HuldraStoreError as error:
            get_logger().warning(
                "%s; the artifact is complete, and huldra tries to write its record again", error
            )
            retries.until_done(partial(_is_published, paths, number))

    def _tell_state(self, end: End) -> None:
        """Write the state of what is decided: a label, for which no result or error is lost."""
        try:
            artifact.write_state(self.paths, Attempt(self.claim, end), self.queued)
        except HuldraStoreError as error:
            get_logger().warning("%s", error)


def _longest_unseen_s() -> float:
    """For how long after its claim an owner may begin without a look: a part of its lease."""
    return min(_UNSEEN_S, HULDRA_CONFIG.lease / 4)


def _is_published(paths: ArtifactPaths, number: int) -> bool:
    try:
        artifact.publish(paths, number)
    except HuldraStoreError:
        return False
    return True


# These say all that a HuldraComputeError around them would.
_TOLD_AS_THEY_ARE = (
    HuldraCycleError,
    HuldraDependencyError,
    HuldraError,
    HuldraStoreError,
    HuldraValidationError,
)


def _type_name(kind: type[BaseException]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")


def error_record(error: BaseException) -> ErrorRecord:
    """What went wrong, as it stands in the end of an attempt."""
    text = "".join(traceback.format_exception(error))
    failed_key = getattr(error, "failed_key", None)
    log_path = getattr(error, "log_path", None)
    return ErrorRecord(
        f"{type(error).__module__}.{type(error).__qualname__}",
        _safe_text(error),
        text,
        failed_key if isinstance(failed_key, str) else None,
        log_path if isinstance(log_path, str) else None,
    )


def _safe_text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as second:  # noqa: BLE001  the user's __str__ may raise anything
        return f"<no text: str() raised {type(second).__name__}>"
