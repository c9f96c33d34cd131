"""`Catalog`: read-only queries over one or several stores that others are writing to."""

from __future__ import annotations

import codecs
import os
import threading
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from huldra.catalog import attempts, reading, runs, storage
from huldra.catalog.artifact_state import (
    CacheEntry,
    ScanClock,
    describe,
    judge_again,
    look,
    new_entry,
)
from huldra.catalog.folders import (
    ClassFolder,
    Known,
    Progress,
    drop_gone,
    look_at_all,
    walk_folders,
)
from huldra.catalog.folders import Place as ClassPlace
from huldra.catalog.index import RootIndex, index_of
from huldra.catalog.metrics import MetricsReader
from huldra.catalog.records import Detail, FileEntry, Litter, Metrics, Row, Sweep, Usage
from huldra.catalog.run_configs import RunConfigs
from huldra.catalog.runs import RunRecord
from huldra.catalog.safe_open import OutsideError, open_inside
from huldra.catalog.snapshot import Snapshot
from huldra.catalog.walk import Place, artifact_places
from huldra.errors import HuldraArtifactMissing, HuldraQueryError
from huldra.settings import HULDRA_CONFIG
from huldra.store.layout import DATA, GIT, PRIVATE, RUNS, ArtifactPaths, StorePaths
from huldra.store.records import Lease

LOGS = {"log": f"{PRIVATE}/huldra.log", "output": f"{PRIVATE}/output.log"}
_PATCH = f"{PRIVATE}/git.patch"
_MIN_DIGITS = 4
_MAX_NAMED = 5
_utf8 = codecs.getincrementaldecoder("utf-8")


class Catalog:
    """An index of the artifacts below `roots`, kept up to date by file stats.

    Never writes below a root, never imports user code, never raises for a single artifact that
    cannot be read: that is a row (or a detail) that says so. All methods may be called from
    any thread; one scan runs at a time and the others wait for its result.

    Owners are judged by the rules of the core: by their own lease and the file server's clock.
    That clock is not asked, since nothing is written; it is known from the newest file that was
    seen. `lease_s` is for claims that name no lease; by default `HULDRA_CONFIG.lease`.

    What a scan finds is kept in the user's cache folder for the next process (`index`). It is a
    cache: nothing of it is believed that a file's or a folder's time contradicts, and without it
    (`use_index=False`) the answers are the same.
    """

    def __init__(
        self,
        roots: Sequence[str | os.PathLike[str]],
        *,
        lease_s: float | None = None,
        use_index: bool = True,
    ) -> None:
        self._roots = tuple(dict.fromkeys(os.path.abspath(root) for root in roots))
        self._lease_s = lease_s
        self._scan_lock = threading.Lock()
        self._uses_index = use_index
        self._indexes: dict[str, RootIndex] = {}
        self._folders: dict[str, dict[ClassPlace, ClassFolder]] = {}
        self._snapshot: Snapshot | None = None
        self._looked_at = 0.0
        self._server = 0.0, 0.0  # a moment of the file server's clock, and when it was seen
        self._runs: dict[tuple[str, str], RunRecord] = {}
        self._sweeps: tuple[int, tuple[RunRecord, ...], tuple[Sweep, ...]] = (-1, (), ())
        self._metrics = MetricsReader()
        self._planned = RunConfigs()
        self._cache_lock = threading.Lock()

    @property
    def roots(self) -> tuple[str, ...]:
        """The absolute roots, in the order given. One that does not exist counts as empty."""
        return self._roots

    @property
    def lease_s(self) -> float:
        """The lease, in seconds, of owners whose claim names none."""
        return HULDRA_CONFIG.lease if self._lease_s is None else self._lease_s

    # ---------------------------------------------------------------- the scan

    def snapshot(self, *, max_age_s: float = 2.0, on_progress: Progress | None = None) -> Snapshot:
        """The store now, or as it was at most `max_age_s` ago (0: look now).

        Unchanged artifacts cost one stat; liveness of open attempts is judged again each time.
        """
        asked_at = time.monotonic()
        with self._scan_lock:
            # A scan that began after we asked is as good as ours.
            oldest = asked_at - max_age_s
            if self._snapshot is None or self._looked_at < oldest or max_age_s <= 0:
                began = time.monotonic()
                self._snapshot = self._scan(on_progress)
                self._looked_at = began
            return self._snapshot

    def _scan(self, on_progress: Progress | None) -> Snapshot:
        began = time.perf_counter()
        taken_at = datetime.now(UTC)
        now = self._now()
        problems = list[str]()
        for root in self._roots:
            known = self._folders[root] if root in self._folders else self._from_index(root)
            self._folders[root] = walk_folders(root, known, now, problems)
        folders = [folder for root in self._roots for folder in self._folders[root].values()]
        read = look_at_all(folders, now, on_progress)
        for folder in folders:
            self._judge_again(folder, now)
        self._server = now.server_s, time.monotonic()
        rows = tuple(known.row for folder in folders for known in folder.known)
        for root, index in self._indexes.items():
            index.save(self._folders[root])
        took_s = time.perf_counter() - began
        before = self._snapshot
        if before is not None and _are_same(before.rows, rows):
            return before.seen_again(taken_at, took_s, read, tuple(problems))
        generation = before.generation + 1 if before else 1
        columns = before.__dict__.get("columns", before.before) if before is not None else None
        return Snapshot(
            rows, taken_at, took_s, read, generation, tuple(problems), columns, self.names
        )

    def _from_index(self, root: str) -> dict[ClassPlace, ClassFolder]:
        if not self._uses_index:
            return {}
        self._indexes[root] = index_of(root)
        return self._indexes[root].load()

    def _judge_again(self, folder: ClassFolder, now: ScanClock) -> None:
        """Judge by what the whole scan has seen, where one look did not tell."""
        drop_gone(folder)
        for known in folder.known:
            if (entry := known.entry) is None:
                continue
            if known.row.unconfirmed:
                judge_again(entry, now)
            self._describe_by_run(entry)
            if entry.row is not known.row and entry.row != known.row:
                known.row = entry.row

    def _describe_by_run(self, known: CacheEntry) -> None:
        """Take the config of what never began, and so has no metadata, from the run that has it."""
        row = known.row
        if row.config is not None or not row.run_id or known.metadata_mark is not None:
            return
        if (plan := self._planned.of(row.root, row.run_id).get(row.key)) is not None:
            describe(known, plan.config, plan.dependencies)

    def _now(self) -> ScanClock:
        server_s, seen_at = self._server
        reached_s = server_s + time.monotonic() - seen_at if server_s else 0.0
        now = ScanClock(time.time(), Lease(self.lease_s, self.lease_s / 3), reached_s)
        for root in self._roots:  # a folder has the time of its newest entry
            for folder in (root, f"{root}/{DATA}", f"{root}/{GIT}", f"{root}/{RUNS}"):
                now.saw(reading.mark_of(folder))
        return now

    # ---------------------------------------------------------------- one artifact

    def find(self, text: str) -> tuple[Row, ...]:
        """The artifacts that `text` may mean: reads those alone, not the whole store.

        `text` is a hash or its beginning (four digits at least), `Class/<hash>`,
        `<namespace>/<hash>` (the hash cut short, too), or an artifact's directory.
        """
        wanted = os.path.abspath(text) if os.path.isabs(text) or text.startswith(".") else ""
        namespace, _, digest = text.strip("/").rpartition("/")
        now = self._now()
        found = []
        for root in self._roots:
            for place in artifact_places(root):
                known = new_entry(*place) if place.digest.startswith(digest) else None
                if known and _is_meant(known.row, wanted, namespace, digest):
                    look(known, now)
                    judge_again(known, now)
                    self._describe_by_run(known)
                    found.append(known.row)
        return tuple(found)

    def one(self, text: str) -> Row:
        """The one artifact that `text` means, as `find` takes it.

        Raises:
            HuldraArtifactMissing: there is none.
            HuldraQueryError: there are more; the message lists them.
        """
        found = self.find(text)
        if len(found) == 1:
            return found[0]
        if not found:
            raise HuldraArtifactMissing(
                f"no artifact {text!r} in {', '.join(self._roots)}; expected a hash (4 digits or"
                " more), Class/<hash>, <namespace>/<hash> or a directory"
            )
        named = ", ".join(row.key for row in found[:_MAX_NAMED])
        more = f" and {len(found) - _MAX_NAMED} more" if len(found) > _MAX_NAMED else ""
        raise HuldraQueryError(
            f"{text!r} is ambiguous ({named}{more}); use a longer prefix", field="id", value=text
        )

    def rows_at(self, places: Iterable[Place]) -> list[Row]:
        """The rows of these artifacts, in their order, read now; absent ones are among them."""
        now = self._now()
        folders: dict[tuple[str, bool, str], ClassFolder] = {}
        found = []
        for place in places:
            root, version_controlled, namespace, digest = place
            above = (root, version_controlled, namespace)
            known = Known(Row(root, namespace, digest, version_controlled))
            folders.setdefault(above, ClassFolder(*above)).known.append(known)
            found.append(known)
        look_at_all(list(folders.values()), now, None)
        for known in found:
            if known.entry is not None:
                judge_again(known.entry, now)
                known.row = known.entry.row
        return [known.row for known in found]

    def detail(self, row: Row, *, server_time_s: float | None = None) -> Detail:
        """Everything recorded about one artifact, read now.

        `server_time_s` is the file server's clock, where a caller that may write has asked it.
        """
        known = new_entry(row.root, row.version_controlled, row.namespace, row.digest)
        now = self._now()
        if server_time_s is not None:
            now.clock_s = now.server_s = server_time_s
        look(known, now)
        judge_again(known, now)
        self._describe_by_run(known)
        paths = ArtifactPaths(row.directory)
        if os.path.islink(paths.private):
            return Detail(known.row, None, None, None, (), paths.log, 0, 0, (known.row.problem,))
        documents = [
            reading.read_document(path) for path in (paths.metadata, paths.state, paths.success)
        ]
        log, patch = reading.mark_of(paths.log), reading.mark_of(paths.git_patch)
        printed = reading.mark_of(paths.output)
        return Detail(
            row=known.row,
            metadata=documents[0].value,
            state=documents[1].value,
            success=documents[2].value,
            attempts=attempts.attempts(paths, now),
            log_path=paths.log,
            log_size=log.size if log else 0,
            git_patch_size=patch.size if patch else 0,
            problems=tuple(d.problem for d in documents if d.problem),
            output_path=paths.output,
            output_size=printed.size if printed else 0,
        )

    def log_tail(
        self, row: Row, *, max_bytes: int = 65536, max_lines: int = 500, which: str = "log"
    ) -> str:
        """The end of one of `LOGS`, whole lines, undecodable bytes replaced; "" if none."""
        text, _ = self.log_from(row, -max_bytes, which=which)
        lines = text.splitlines(keepends=True)
        return "".join(lines[-max_lines:])

    def log_from(
        self, row: Row, offset: int, *, max_bytes: int = 1 << 20, which: str = "log"
    ) -> tuple[str, int]:
        """One of `LOGS` from byte `offset` on (negative: from the end), and the offset after it.

        `which` is `log`, what was logged, or `output`, what was printed on workers. Starts behind
        the first line's end where `offset` is negative and cuts into a line. An offset beyond the
        end (the log was replaced by a shorter one) starts again.
        """
        try:
            with open_inside(row.directory, LOGS[which]) as file:
                size = os.fstat(file.fileno()).st_size
                start = max(0, size + offset) if offset < 0 else offset
                start = 0 if start > size else start
                file.seek(start)
                data = file.read(min(max_bytes, size - start))
        except (OSError, OutsideError):
            return "", 0
        decoder = _utf8("replace")
        text = decoder.decode(data[data.find(b"\n") + 1 :] if offset < 0 < start else data)
        unfinished = len(
            decoder.getstate()[0]
        )  # a character whose rest is not read, or written, yet
        return text, start + len(data) - unfinished

    def git_patch(self, row: Row, *, max_bytes: int = 1 << 20) -> str:
        """The stored patch, cut at `max_bytes`; "" if none."""
        try:
            with open_inside(row.directory, _PATCH) as file:
                return file.read(max_bytes).decode("utf-8", "replace")
        except (OSError, OutsideError):
            return ""

    def files(self, row: Row, *, max_files: int = 1000) -> tuple[FileEntry, ...]:
        """The user's files of an artifact, sorted by path, at most `max_files`."""
        return storage.user_files(row.directory, max_files)

    def metrics(self, row: Row) -> Metrics:
        """Numbers in the artifact's top-level .json, .jsonl and .csv files; cached by stat."""
        return self._metrics.read(row.directory)

    def metrics_summary(self, row: Row) -> Metrics:
        """The same without the points of curves: for lists, see `MetricsReader.summary`."""
        return self._metrics.summary(row)

    # ---------------------------------------------------------------- runs

    def sweeps(self) -> tuple[Sweep, ...]:
        """The recorded runs, newest first, judged by `snapshot()`; members are filled in."""
        snapshot = self.snapshot()
        records = self._records()
        with self._cache_lock:
            generation, known_records, sweeps = self._sweeps
        if generation == snapshot.generation and known_records == records:
            return sweeps
        sweeps = tuple(runs.progress(record, snapshot) for record in records)
        with self._cache_lock:
            self._sweeps = (snapshot.generation, records, sweeps)
        return sweeps

    def _records(self) -> tuple[RunRecord, ...]:
        found: dict[tuple[str, str], RunRecord] = {}
        for root in self._roots:
            for run_id in runs.run_ids(root):
                before = self._runs.get((root, run_id))
                mark = reading.mark_of(StorePaths(root).run_record(run_id))
                if before is None or before.mark != mark:
                    before = runs.read_run(root, run_id)
                found[root, run_id] = before
        self._runs = found
        return tuple(sorted(found.values(), key=lambda record: record.run_id, reverse=True))

    def names(self) -> dict[tuple[str, str], str]:
        """(root, key) → the names that recorded runs have given to an artifact, a line each."""
        found: dict[tuple[str, str], str] = {}
        for record in self._records():
            for name, key in record.members.items():
                before = found.get((record.root, key))
                found[record.root, key] = f"{before}\n{name}" if before else name
        return found

    def find_runs(self, text: str) -> list[tuple[str, str]]:
        """The (root, run id) that `text` may mean, the newest first; none for "".

        That is the run with this id; else those whose id begins so; else the newest of that name.
        """
        if not text:
            return []
        ids = [(root, run_id) for root in self._roots for run_id in runs.run_ids(root)]
        found = [one for one in ids if one[1] == text]
        found = found or [one for one in ids if one[1].startswith(text)]
        if found:
            return sorted(found, key=lambda one: one[1], reverse=True)
        return [(r.root, r.run_id) for r in self._records() if r.name == text][:1]

    def run_record(self, text: str) -> RunRecord:
        """The recorded run that `text` means: an id, its beginning, or a name (its newest run).

        Raises:
            HuldraArtifactMissing: there is none.
            HuldraQueryError: more than one id begins so; the message lists them.
        """
        found = self.find_runs(text)
        if not found:
            raise HuldraArtifactMissing(
                f"no run {text!r} in {', '.join(self._roots)}; wanted an id, its beginning, or a"
                " sweep's name: `huldra sweeps` lists them"
            )
        if len(found) > 1:
            listed = ", ".join(run_id for _, run_id in found[:_MAX_NAMED])
            raise HuldraQueryError(
                f"{text!r} may mean {listed}; give more of the id", field="run", value=text
            )
        return runs.read_run(*found[0])

    def run(self, text: str) -> Sweep:
        """The run that `text` means, as `run_record` takes it, judged by `snapshot()`."""
        return runs.progress(self.run_record(text), self.snapshot())

    def sweep(self, run_id: str) -> Sweep | None:
        """One recorded run."""
        return next((sweep for sweep in self.sweeps() if sweep.run_id == run_id), None)

    # ---------------------------------------------------------------- the disk

    def usage(self, rows: Iterable[Row]) -> tuple[Usage, ...]:
        """Disk usage of each artifact, biggest first; walks the disk, so it is on demand."""
        return storage.usage(rows)

    def litter(self) -> tuple[Litter, ...]:
        """Leftovers that no artifact needs: temporary files of crashes, half-removed folders."""
        return tuple(item for root in self._roots for item in storage.litter(root))

    def unreferenced(self) -> tuple[Row, ...]:
        """Artifacts that nothing refers to: no artifact needs them, and no recorded run has them.

        Those with an open attempt are not among them. An artifact that a person asked for by
        itself is: nothing on disk tells it from one that was forgotten.
        """
        snapshot = self.snapshot()
        used = {(row.root, d.key) for row in snapshot.rows for d in row.dependencies}
        for record in self._records():
            used.update((record.root, key) for key in record.members.values())
            used.update((record.root, key) for key in record.needed)
        return tuple(
            row for row in snapshot.rows if not row.is_open and (row.root, row.key) not in used
        )


def _is_meant(row: Row, directory: str, namespace: str, digest: str) -> bool:
    if directory:
        return row.directory == directory
    return len(digest) >= _MIN_DIGITS and (namespace in ("", row.namespace, row.class_name))


def _are_same(before: tuple[Row, ...], after: tuple[Row, ...]) -> bool:
    return len(before) == len(after) and all(map(_is, before, after))


def _is(one: Row, other: Row) -> bool:
    return one is other
