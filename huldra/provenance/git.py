"""What git says of the repository that the process works in, asked rarely and never failing.

The repository is that of the working directory. Git is run when its state is first asked for, and
again when that state has changed: HEAD, the index, a ref or the configuration was written, or a
source file that this process has imported from the repository was. Whether one was is looked at by
`stat`, once in two seconds at most; so thousands of artifacts of one run share one answer.
Whatever goes wrong (no git, no commit, a refused folder, a hanging disk) ends as text in `error`.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from huldra.provenance.command import without_secrets

if TYPE_CHECKING:
    import subprocess

MAX_PATCH_BYTES = 1_000_000
MAX_UNTRACKED = 200
_TIMEOUT_S = 10.0  # for one run of git; a repository on a sleeping disk takes seconds
_LOOK_AGAIN_S = 2.0
_ERROR_RETRY_S = 300.0  # how long an answer with an error stands
_MAX_OUTPUT_BYTES = 50_000_000  # of anything but the patch: names of changed and untracked files

# What a user's configuration may not change: locks taken, daemons and pagers started, prompts.
_ENVIRONMENT = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
_OPTIONS = ("--no-pager", "-c", "core.fsmonitor=false", "-c", "core.quotepath=false")


@dataclass(frozen=True)
class GitState:
    """A repository at one moment; without a repository all but `error` is empty.

    `dirty` tells of changes to tracked files. `untracked` holds names only, the first 200, then
    a line with the number of the others. `patch` is what `git diff HEAD` printed, cut after a
    megabyte. `error` is None, or what could not be found out and why.
    """

    commit: str | None = None
    branch: str | None = None
    remote: str | None = None
    dirty: bool | None = None
    untracked: tuple[str, ...] = ()
    submodules: Mapping[str, str] = field(default_factory=dict)
    patch: bytes | None = None
    error: str | None = None


_NO_REPOSITORY = GitState(error="the working directory is not in a git repository")


class _GitError(Exception):
    """One run of git gave no answer; the text says which and why."""


@dataclass(frozen=True)
class _Repository:
    """A repository: `git_dir` is its worktree's own folder, `common_dir` that of all worktrees."""

    top: str
    git_dir: str
    common_dir: str


@dataclass(frozen=True)
class _GitAnswer:
    """A state with what tells whether it still holds."""

    state: GitState
    signature: object
    asked_at_s: float


@dataclass(frozen=True)
class _Inspection:
    """What was found for a working directory, and when."""

    state: GitState
    at_s: float


class _Memory:
    """What this process knows: a state for each repository, and each directory's last look."""

    def __init__(self) -> None:
        self.answers: dict[tuple[_Repository, bool], _GitAnswer] = {}
        self.looks: dict[tuple[str, bool], _Inspection] = {}
        self.lock = threading.Lock()

    def renew_lock(self) -> None:
        """In a forked child: a thread that does not exist there may have held it."""
        self.lock = threading.Lock()


_memory = _Memory()
os.register_at_fork(after_in_child=_memory.renew_lock)


def git_state(cwd: str, with_patch: bool = True) -> GitState:
    """The state of the repository around `cwd`; never raises, waits 10 s a run of git at most."""
    key = (cwd, with_patch)
    look = _memory.looks.get(key)
    if look is None or time.monotonic() - look.at_s > _LOOK_AGAIN_S:
        with _memory.lock:  # threads that miss at one time share one answer
            look = _look(key, time.monotonic())
    return look.state


def forget() -> None:
    """Ask git again at the next call."""
    with _memory.lock:
        _memory.answers.clear()
        _memory.looks.clear()


def _look(key: tuple[str, bool], now: float) -> _Inspection:
    """Look whether the known state still holds, and ask git if not."""
    look = _memory.looks.get(key)
    if look is None or now - look.at_s > _LOOK_AGAIN_S:  # no other thread has just looked
        cwd, with_patch = key
        repository = _find_repository(cwd)
        state = _state_of(repository, with_patch, now) if repository is not None else _NO_REPOSITORY
        look = _memory.looks[key] = _Inspection(state, time.monotonic())
    return look


def _state_of(repository: _Repository, with_patch: bool, now: float) -> GitState:
    """The known state of a repository, asked again if it does not hold any more."""
    signature = _signature(repository)
    answer = _memory.answers.get((repository, with_patch))
    if answer is None or answer.signature != signature or _is_due(answer, now):
        answer = _GitAnswer(_ask(repository, with_patch), signature, now)
        _memory.answers[repository, with_patch] = answer
    return answer.state


def _is_due(answer: _GitAnswer, now: float) -> bool:
    """Return True if what failed is worth another try."""
    return answer.state.error is not None and now - answer.asked_at_s > _ERROR_RETRY_S


# ---- finding the repository and noticing that it changed -----------------------------------------


def _find_repository(cwd: str) -> _Repository | None:
    """Find the repository around `cwd` by looking, without a process."""
    if not cwd:
        return None
    if named := os.environ.get("GIT_DIR"):
        return _repository(os.environ.get("GIT_WORK_TREE", cwd), os.path.join(cwd, named))
    folder = cwd
    while True:
        entry = os.path.join(folder, ".git")
        if os.path.exists(entry):
            return _repository(folder, _follow(entry))
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent


def _follow(entry: str) -> str:
    """The git directory that `.git` is, or names when it is a file (worktrees, submodules)."""
    named = _read_start(entry).removeprefix("gitdir:").strip() if os.path.isfile(entry) else ""
    return os.path.join(os.path.dirname(entry), named) if named else entry


def _repository(top: str, git_dir: str) -> _Repository:
    """A repository whose shared folder is looked up."""
    common = _read_start(os.path.join(git_dir, "commondir")).strip()
    return _Repository(top, git_dir, os.path.join(git_dir, common) if common else git_dir)


def _read_start(path: str) -> str:
    """The first bytes of a small file; empty if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return os.fsdecode(file.read(4096))
    except OSError:
        return ""


def _signature(repository: _Repository) -> object:
    """What changes when the state does: stamps of git's own files and of imported sources."""
    git_dir, common = repository.git_dir, repository.common_dir
    head = _read_start(os.path.join(git_dir, "HEAD"))
    files = [os.path.join(git_dir, "index")]
    files += [os.path.join(common, name) for name in ("packed-refs", "config")]
    files.append(os.path.join(git_dir, "reftable", "tables.list"))
    if head.startswith("ref:"):
        files.append(os.path.join(common, head.removeprefix("ref:").strip()))
    return head, [_stamp(path) for path in files], _newest_source_ns(repository.top)


def _stamp(path: str) -> tuple[int, int, int] | None:
    """What tells whether a file was written; None if it is not there."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _newest_source_ns(top: str) -> int:
    """When the last of the imported sources in the repository was written."""
    newest = 0
    prefix = os.path.join(top, "")
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and path.startswith(prefix) and "site-packages" not in path:
            stamp = _stamp(path)
            newest = max(newest, stamp[0] if stamp else 0)
    return newest


# ---- asking git ------------------------------------------------------------------------------


def _ask(repository: _Repository, with_patch: bool) -> GitState:
    """Ask all there is to know; each part that fails leaves its words in `error`."""
    errors: list[str] = []
    state = GitState()
    try:
        state = _parse_status(_git(repository, *_STATUS)[0])
    except _GitError as failure:
        return replace(state, error=str(failure))
    if state.commit is None:
        errors.append("the repository has no commit yet")
    with _noted(errors):
        state = replace(state, remote=_remote(repository))
    with _noted(errors):
        state = replace(state, submodules=_submodules(repository))
    if with_patch and state.dirty and state.commit:
        with _noted(errors):
            state = replace(state, patch=_patch(repository, errors))
    return replace(state, error="; ".join(errors) or None)


@contextlib.contextmanager
def _noted(errors: list[str]) -> Iterator[None]:
    """Turn a failed question into a line of `errors`."""
    try:
        yield
    except _GitError as failure:
        errors.append(str(failure))


_STATUS = ("status", "--porcelain=v2", "--branch", "-z", "--untracked-files=normal")


def _parse_status(output: bytes) -> GitState:
    """Read `git status --porcelain=v2 --branch -z`: header lines, then one entry a change."""
    header: dict[str, str] = {}
    untracked: list[str] = []
    dirty = False
    entries = iter(output.split(b"\0"))
    for entry in entries:
        kind = entry[:1]
        if kind == b"#":
            name, _, value = _text(entry[2:]).partition(" ")
            header[name] = value
        elif kind == b"?":
            untracked.append(_text(entry[2:]))
        elif kind in (b"1", b"2", b"u"):
            dirty = True
            if kind == b"2":
                next(entries, None)  # a renamed file's entry is followed by its old name
    commit, branch = header.get("branch.oid"), header.get("branch.head")
    return GitState(
        commit=None if commit == "(initial)" else commit,
        branch=None if branch == "(detached)" else branch,
        dirty=dirty,
        untracked=_first(untracked),
    )


def _first(names: list[str]) -> tuple[str, ...]:
    """The first names, and the number of the others."""
    more = len(names) - MAX_UNTRACKED
    shown = tuple(names[:MAX_UNTRACKED])
    return (*shown, f"… and {more} more") if more > 0 else shown


def _remote(repository: _Repository) -> str | None:
    """The URL of `origin`, or of the first remote, without credentials; None if there is none."""
    try:
        output = _git(repository, "config", "--get-regexp", r"^remote\..*\.url$")[0]
    except _GitError as failure:
        if "code 1:" in str(failure):  # git's word for: no such entry
            return None
        raise
    urls = dict(line.split(" ", 1) for line in _text(output).splitlines() if " " in line)
    url = urls.get("remote.origin.url") or next(iter(urls.values()), None)
    return None if url is None else without_secrets(url)


def _submodules(repository: _Repository) -> dict[str, str]:
    """The commit that each submodule has checked out, by its path."""
    if not os.path.exists(os.path.join(repository.top, ".gitmodules")):
        return {}
    lines = _text(_git(repository, "submodule", "status")[0]).splitlines()
    # "<mark><commit> <path> (<description>)": the mark is "-", "+", "U" or a blank.
    fields = (re.match(r".([0-9a-f]+) (.*?)(?: \(.*\))?$", line) for line in lines)
    return {match[2]: match[1] for match in fields if match}


def _patch(repository: _Repository, errors: list[str]) -> bytes:
    """The uncommitted changes of tracked files; a cut is noted in `errors` with the whole size."""
    command = ("diff", "--no-color", "--no-ext-diff", "--no-textconv", "HEAD")
    patch, size = _git(repository, *command, limit=MAX_PATCH_BYTES)
    if size > len(patch):
        patch = patch[: patch.rfind(b"\n") + 1]
        errors.append(f"the patch has {size} bytes, of which the first {len(patch)} are kept")
    return patch


def _text(data: bytes) -> str:
    r"""Text that any file can hold: bytes that are not UTF-8 appear as `\xNN`."""
    return data.decode("utf-8", "backslashreplace")


def _git(repository: _Repository, *args: str, limit: int = _MAX_OUTPUT_BYTES) -> tuple[bytes, int]:
    """Run git and return what it printed, `limit` bytes at most, and how much there was."""
    import subprocess  # here: importing huldra should not pay for what a hit never needs

    try:
        process = subprocess.Popen(
            ["git", *_OPTIONS, *args],
            cwd=repository.top,
            env={**os.environ, **_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        raise _GitError(f"git cannot be run: {error.strerror or error}") from error
    try:
        (output, size), (complaint, _) = _drain(process, limit)
        code = process.wait(timeout=_TIMEOUT_S)
    except (TimeoutError, subprocess.TimeoutExpired) as error:
        raise _GitError(f"git {args[0]} gave no answer within {_TIMEOUT_S:g} s") from error
    finally:
        _end(process)
    if code:
        why = without_secrets(" ".join(_text(complaint[:500]).split()))
        raise _GitError(f"git {args[0]} ended with code {code}: {why}")
    return output, size


def _drain(process: subprocess.Popen[bytes], limit: int) -> list[tuple[bytes, int]]:
    """Read stdout and stderr to their ends and keep `limit` bytes of each.

    Raises TimeoutError. Not `communicate`, which keeps all: a diff may be larger than the memory.
    """
    import selectors

    deadline = time.monotonic() + _TIMEOUT_S
    streams = [process.stdout, process.stderr]
    kept = [bytearray(), bytearray()]
    sizes = [0, 0]
    with selectors.DefaultSelector() as selector:
        for number, stream in enumerate(streams):
            assert stream is not None  # both are pipes
            selector.register(stream, selectors.EVENT_READ, number)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            for event, _ in ready:
                chunk = os.read(event.fd, 1 << 16)
                if not chunk:
                    selector.unregister(event.fileobj)
                sizes[event.data] += len(chunk)
                kept[event.data] += chunk[: limit - len(kept[event.data])]
    return [(bytes(data), size) for data, size in zip(kept, sizes, strict=True)]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave no process and no pipe behind."""
    import subprocess

    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    if process.poll() is None:
        process.kill()
        with contextlib.suppress(
            subprocess.TimeoutExpired
        ):  # stuck in the kernel: not ours to wait
            process.wait(timeout=1.0)


# ---- the files of a work tree ------------------------------------------------------------------


def work_tree_of(folder: str) -> str | None:
    """Return the top of the git work tree around `folder`, None outside of one. Runs no git."""
    repository = _find_repository(folder)
    return repository.top if repository is not None else None


def files_of(top: str, *, ignored: tuple[str, ...] = ()) -> list[str] | None:
    """Return the names of the tracked files of a work tree, and of the untracked ones.

    Those that git ignores are left out, unless they match a pattern of `ignored`. A submodule is
    one name. None where git gives no answer.
    """
    tree = _Repository(top, "", "")
    try:
        asked = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        output, size = _git(tree, *asked)
        if ignored:
            asked = ["ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--"]
            more, more_size = _git(tree, *asked, *ignored)
            output, size = output + more, size + more_size
    except _GitError:
        return None
    if size > len(output):
        return None
    return [os.fsdecode(name) for name in output.split(b"\0") if name]
