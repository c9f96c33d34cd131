"""What a catalog knows of a root, kept from process to process: a cache, outside of the store.

One SQLite file a root, in `HULDRA_CACHE_DIR` (by default `huldra` in the user's cache folder). It
holds nothing that is not read again from the store where a time there differs (`folders`), and is
thrown away when in doubt: other version, other root in the same place, damaged. Where it cannot
be read or written the catalog works without it.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from huldra.catalog import artifact_state, reading, records
from huldra.catalog.artifact_state import from_plain, to_plain
from huldra.catalog.folders import UNSEEN, ClassFolder, Known, Place
from huldra.catalog.records import Dependencies, PackedConfig, Row
from huldra.settings import HULDRA_CONFIG
from huldra.store import records as store_records
from huldra.store import snapshot

if TYPE_CHECKING:
    import sqlite3

VERSION = 1
ENOUGH = 200  # fewer changes are read again sooner than they are written
SAVE_EVERY_S = 30.0
_PATIENCE_S = 1.0  # for another process that writes
_OF_THE_DISK = frozenset({5, 6, 8, 10, 13, 14})  # busy, locked, read-only, I/O, full, not opened
_NO_DEPENDENCIES = Dependencies()

_SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT UNIQUE);
CREATE TABLE folders (
    id INTEGER PRIMARY KEY, version_controlled INTEGER, namespace TEXT, time_ns INTEGER,
    inode INTEGER, count INTEGER, UNIQUE (version_controlled, namespace)
);
CREATE TABLE artifacts (
    folder INTEGER, digest TEXT, time_ns INTEGER, inode INTEGER, claims_ns INTEGER,
    claims_inode INTEGER, open TEXT, result INTEGER, attempt INTEGER, number INTEGER,
    backend INTEGER, host INTEGER, user INTEGER, pid INTEGER, job_id TEXT, run INTEGER,
    queued_at REAL, started_at REAL, ended_at REAL, updated_at REAL, duration_s REAL,
    error_type INTEGER, error_message TEXT, error_place INTEGER, failed_key TEXT,
    config TEXT, dependencies TEXT, PRIMARY KEY (folder, digest)
) WITHOUT ROWID;
"""
_COLUMNS = 27


@dataclass
class RootIndex:
    """The index of one root. All methods answer for any file in its place, and never raise."""

    root: str
    path: str
    _not_before: float = 0.0

    # ------------------------------------------------------------ reading

    def load(self) -> dict[Place, ClassFolder]:
        """What was known when it was saved; empty where there is none, or none to rely on."""
        if not self.path or not os.path.exists(self.path):
            return {}
        import sqlite3  # here: a small store needs none

        try:
            with contextlib.closing(self._open()) as database, _without_collection():
                if self._is_about(database):
                    return self._folders(database)
        except sqlite3.Error as error:
            if _is_of_the_disk(error):
                return {}  # locked, or not to be read: it may be sound
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
            pass
        _remove(self.path)
        return {}

    def _open(self) -> sqlite3.Connection:
        import sqlite3

        return sqlite3.connect(self.path, timeout=_PATIENCE_S, isolation_level=None)

    def _is_about(self, database: sqlite3.Connection) -> bool:
        found = dict(database.execute("SELECT name, value FROM about"))
        return found == _about(self.root)

    def _folders(self, database: sqlite3.Connection) -> dict[Place, ClassFolder]:
        database.execute("BEGIN")
        words = dict(database.execute("SELECT id, word FROM words"))
        found: dict[Place, ClassFolder] = {}
        rows = database.execute("SELECT * FROM folders").fetchall()
        for number, version_controlled, namespace, time_ns, inode, count in rows:
            folder = ClassFolder(self.root, bool(version_controlled), namespace, (time_ns, inode))
            read = _reader(folder, words)
            artifacts = database.execute(
                "SELECT * FROM artifacts WHERE folder = ? ORDER BY digest", (number,)
            )
            folder.known = [read(one) for one in artifacts]
            folder.is_saved = True
            if len(folder.known) != count:
                folder.stamp = UNSEEN
            found[folder.version_controlled, namespace] = folder
        return found

    # ------------------------------------------------------------ writing

    def save(self, folders: dict[Place, ClassFolder]) -> None:
        """Keep what is known and was not saved before, and forget what is gone."""
        now = time.monotonic()
        if not self.path or now < self._not_before or not _is_worth_it(folders.values()):
            return
        self._not_before = now + SAVE_EVERY_S
        import sqlite3

        try:
            with contextlib.closing(self._made()) as database, _transaction(database):
                if self._is_about(database):  # else another version has replaced it
                    _Writer(database).write(folders)
        except (sqlite3.Error, OSError, ValueError, OverflowError) as error:
            for folder in folders.values():
                folder.is_saved = False
            if isinstance(error, sqlite3.DatabaseError) and not _is_of_the_disk(error):
                _remove(self.path)

    def _made(self) -> sqlite3.Connection:
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        database = self._open()
        try:
            with _transaction(database):
                if not database.execute("SELECT 1 FROM sqlite_master").fetchone():
                    for statement in _SCHEMA.split(";"):
                        database.execute(statement)
                    about = _about(self.root).items()
                    database.executemany("INSERT INTO about VALUES (?, ?)", about)
        except BaseException:
            database.close()
            raise
        return database


class _Writer:
    """One transaction that writes."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._words: dict[str, int] = {
            word: number for number, word in database.execute("SELECT id, word FROM words")
        }

    def write(self, folders: dict[Place, ClassFolder]) -> None:
        """Write what differs of these folders, and remove the others."""
        numbers = {
            (bool(version_controlled), namespace): number
            for number, version_controlled, namespace in self._database.execute(
                "SELECT id, version_controlled, namespace FROM folders"
            )
        }
        for place in numbers.keys() - folders.keys():
            self._database.execute("DELETE FROM artifacts WHERE folder = ?", (numbers[place],))
            self._database.execute("DELETE FROM folders WHERE id = ?", (numbers[place],))
        for place, folder in folders.items():
            number = numbers.get(place)
            if number is None:
                number = self._database.execute(
                    "INSERT INTO folders (version_controlled, namespace) VALUES (?, ?)", place
                ).lastrowid
            assert number is not None, "a row that was inserted has a number"
            self._write_folder(number, folder)

    def _write_folder(self, number: int, folder: ClassFolder) -> None:
        if folder.removed:
            gone = [(number, digest) for digest in folder.removed]
            self._database.executemany(
                "DELETE FROM artifacts WHERE folder = ? AND digest = ?", gone
            )
            folder.removed = []
        changed = [known for known in folder.known if not known.is_saved]
        self._database.executemany(
            f"INSERT OR REPLACE INTO artifacts VALUES ({','.join('?' * _COLUMNS)})",
            (self._values(number, known) for known in changed),
        )
        for known in changed:
            known.is_saved = True
        if changed or not folder.is_saved:
            self._database.execute(
                "UPDATE folders SET time_ns = ?, inode = ?, count = ? WHERE id = ?",
                (*folder.stamp, len(folder.known), number),
            )
            folder.is_saved = True

    def _values(self, folder: int, known: Known) -> tuple[Any, ...]:
        """The columns of an artifact; without times where it has to be read again."""
        plain = _plain(known)
        entry, row = known.entry, known.row
        is_lasting = known.time_ns >= 0 and (entry is None or plain is not None)
        if entry is not None and plain is not None:
            row = entry.derived
            if entry.metadata_mark is None:  # what its run says of it is asked again
                row = row._replace(config=None, dependencies=_NO_DEPENDENCIES)
        if not is_lasting or not _is_exact(row):
            return (folder, row.digest, *UNSEEN, *UNSEEN, *(None,) * (_COLUMNS - 6))
        word = self._word
        return (
            folder,
            row.digest,
            known.time_ns,
            known.inode,
            *known.claims,
            plain,
            word(row.result_status),
            word(row.attempt_status),
            row.attempt_number,
            word(row.backend),
            word(row.hostname),
            word(row.user),
            row.pid,
            row.job_id,
            word(row.run_id),
            _seconds(row.queued_at),
            _seconds(row.started_at),
            _seconds(row.ended_at),
            _seconds(row.updated_at),
            row.duration_s,
            word(row.error_type),
            row.error_message,
            word(row.error_place),
            row.failed_key,
            row.config.text if isinstance(row.config, PackedConfig) else None,
            row.dependencies.text if isinstance(row.dependencies, Dependencies) else "",
        )

    def _word(self, text: str) -> int:
        number = self._words.get(text)
        if number is None:
            cursor = self._database.execute("INSERT INTO words (word) VALUES (?)", (text,))
            number = cursor.lastrowid
            assert number is not None, "a row that was inserted has a number"
            self._words[text] = number
        return number


def _reader(folder: ClassFolder, words: dict[int, str]) -> Callable[[Sequence[Any]], Known]:
    """Makes the artifacts of a folder from rows of the database."""
    root, namespace, version_controlled = folder.root, folder.namespace, folder.version_controlled
    make, moment = partial(tuple.__new__, Row), datetime.fromtimestamp

    def read(one: Sequence[Any]) -> Known:
        (
            _, digest, time_ns, inode, claims_ns, claims_inode, plain, result, attempt, number,
            backend, host, user, pid, job_id, run, queued_at, started_at, ended_at, updated_at,
            duration_s, error_type, error_message, error_place, failed_key, config, dependencies,
        ) = one  # fmt: skip
        if time_ns < 0:
            return Known(Row(root, namespace, digest, version_controlled), is_saved=True)
        ended = None if ended_at is None else moment(ended_at, UTC)
        row = make(
            (
                root,
                namespace,
                digest,
                version_controlled,
                words[result],
                words[attempt],
                number,
                words[backend],
                words[host],
                words[user],
                pid,
                job_id,
                words[run],
                None if queued_at is None else moment(queued_at, UTC),
                None if started_at is None else moment(started_at, UTC),
                ended,
                ended
                if updated_at == ended_at
                else None
                if updated_at is None
                else moment(updated_at, UTC),
                duration_s,
                None,
                "",
                words[error_type],
                error_message,
                words[error_place],
                failed_key,
                None if config is None else PackedConfig(config),
                Dependencies(dependencies) if dependencies else _NO_DEPENDENCIES,
                "",
                "",
            )
        )
        claims = UNSEEN if claims_ns < 0 else (claims_ns, claims_inode)
        entry = None if plain is None else from_plain(row, json.loads(plain))
        return Known(row, time_ns, inode, entry, claims, True)

    return read


def _plain(known: Known) -> str | None:
    if known.entry is None or known.claims == UNSEEN:
        return None
    plain = to_plain(known.entry)
    return None if plain is None else json.dumps(plain, separators=(",", ":"))


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _is_exact(row: Row) -> bool:
    """Return True if the row comes back as it is."""
    if not -(1 << 63) <= row.pid < 1 << 63 or isinstance(row.config, dict):
        return False
    for moment in (row.queued_at, row.started_at, row.ended_at, row.updated_at):
        if moment is not None and datetime.fromtimestamp(moment.timestamp(), UTC) != moment:
            return False
    return True


# ---------------------------------------------------------------- where, and of what


def index_of(root: str) -> RootIndex:
    """The index of a root, in the cache folder of this user."""
    folder = cache_folder()
    if not folder or os.path.commonpath([folder, root]) == root:
        return RootIndex(root, "")  # nothing is written into a store by looking at it
    name = hashlib.blake2s(root.encode("utf-8", "surrogateescape"), digest_size=12).hexdigest()
    return RootIndex(root, f"{folder}/catalog-{name}.sqlite")


def cache_folder() -> str:
    """`HULDRA_CACHE_DIR`, else `huldra` in the user's cache folder; "" where there is none."""
    if HULDRA_CONFIG.cache_dir is not None:
        return HULDRA_CONFIG.cache_dir
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.expanduser("~/.cache")
    return f"{base}/huldra" if os.path.isabs(base) else ""


def _about(root: str) -> dict[str, str]:
    """What an index has to be about to be of use: this code, and this very folder."""
    return {"index": str(VERSION), "code": _code(), "root": root, "folder": _identity(root)}


def _code() -> str:
    """A digest of the code that makes rows of what is in a store: another makes other rows."""
    digest = hashlib.blake2s(digest_size=8)
    for module in (artifact_state, reading, records, store_records, snapshot):
        with contextlib.suppress(OSError, TypeError), open(module.__file__ or "", "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def _identity(root: str) -> str:
    try:
        found = os.stat(root)
    except OSError:
        return "-"
    return f"{found.st_dev}:{found.st_ino}"


def _is_worth_it(folders: Iterable[ClassFolder]) -> bool:
    changed = 0
    for folder in folders:
        if not folder.is_saved and folder.stamp != UNSEEN and len(folder.known) >= ENOUGH:
            return True
        changed += len(folder.removed) + sum(not known.is_saved for known in folder.known)
    return changed >= ENOUGH


@contextlib.contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Keep the garbage collector from looking through what only grows, again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _is_of_the_disk(error: Exception) -> bool:
    """Return True for an error that says nothing of what is in the file: busy, full, read-only."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _OF_THE_DISK


def _remove(path: str) -> None:
    for name in (path, f"{path}-journal"):
        with contextlib.suppress(OSError):
            os.unlink(name)
