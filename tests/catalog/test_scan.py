"""What a scan says of one artifact, in each state that its files can be in."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from huldra.catalog import Catalog
from tests.catalog.conftest import Look
from tests.dashboard.store import StoreWriter, example_store, ref

MODEL = "proj.models/Train"


def private(writer: StoreWriter, key: str) -> Path:
    return writer.directory(key) / ".huldra"


def own(writer: StoreWriter, key: str, change: dict[str, object], number: int = 1) -> None:
    """Change who owns an attempt, and leave the time of its last heartbeat as it is."""
    path = private(writer, key) / "claims" / str(number)
    record, before = json.loads(path.read_text()), path.stat()
    record["owner"] |= change
    path.write_text(json.dumps(record))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    ("status", "result"),
    [
        ("success", "success"),
        ("failed", "failed"),
        ("running", "incomplete"),
        ("queued", "incomplete"),
        ("cancelled", "incomplete"),
        ("preempted", "incomplete"),
        ("crashed", "incomplete"),
        ("stale", "incomplete"),
    ],
)
def test_each_status_is_reported(writer: StoreWriter, look: Look, status: str, result: str) -> None:
    """The status of an attempt, and the result that follows from it, are as recorded."""
    key = writer.add(MODEL, {"lr": 1}, status=status)
    row = look()[key]
    assert (row.attempt_status, row.result_status, row.problem) == (status, result, "")


def test_a_row_tells_who_when_and_where(writer: StoreWriter, look: Look) -> None:
    """Backend, job, host, user, times and config of the last attempt are in the row."""
    data = writer.add("proj.data/Data", {"name": "toy"})
    key = writer.add(
        MODEL,
        {"lr": 0.1, "data": ref(data)},
        backend="slurm",
        host="node1",
        user="grace",
        job_id="12_3",
        ago_s=100,
        duration_s=40,
    )
    row = look()[key]
    assert (row.backend, row.hostname, row.user, row.job_id) == ("slurm", "node1", "grace", "12_3")
    assert row.duration_s == 40
    assert row.started_at is not None
    assert row.ended_at is not None
    assert (row.ended_at - row.started_at).total_seconds() == 40
    assert row.config == {"lr": 0.1, "data": {"$ref": data}}
    assert [d.key for d in row.dependencies] == [data]
    assert row.directory == str(writer.directory(key))


def test_an_owner_elsewhere_is_stale_after_its_lease(writer: StoreWriter, look: Look) -> None:
    """Without a heartbeat for a lease, a run on another host counts as stale, and says so."""
    young = writer.add(MODEL, {"n": 1}, status="running", host="node1", heartbeat_ago_s=50)
    old = writer.add(MODEL, {"n": 2}, status="running", host="node1", heartbeat_ago_s=5000)
    rows = look()
    assert rows[young].attempt_status == "running"
    assert rows[old].attempt_status == "stale"
    assert "lease" in rows[old].stale_reason
    assert rows[old].heartbeat_at is not None
    assert 4990 < writer.now.timestamp() - rows[old].heartbeat_at.timestamp() < 5010


def test_a_living_owner_here_is_never_stale(writer: StoreWriter, look: Look) -> None:
    """On its own host the process decides, however old its heartbeat is."""
    key = writer.add(MODEL, {}, status="running", heartbeat_ago_s=5000)
    assert look()[key].attempt_status == "running"


def test_a_dead_owner_here_is_stale_at_once(writer: StoreWriter, look: Look) -> None:
    """A process that ended makes its run stale at the next look, without waiting for a lease."""
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    )
    try:
        key = writer.add(MODEL, {}, status="running", heartbeat_ago_s=0)
        stat = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        own(writer, key, {"pid": child.pid, "started": stat[19]})
        assert look()[key].attempt_status == "running"
    finally:
        child.kill()
        child.communicate(timeout=30)
    row = look()[key]
    assert row.attempt_status == "stale"
    assert "gone" in row.stale_reason


def test_a_queued_attempt_of_a_dead_driver_is_stale_unless_a_job_is_bound(
    writer: StoreWriter, look: Look
) -> None:
    """The engine speaks for a bound job, unless it lived in the driver; nobody for another."""
    unbound = writer.add(MODEL, {"n": 1}, status="queued")
    bound = writer.add(MODEL, {"n": 2}, status="queued", backend="slurm", job_id="7")
    pooled = writer.add(MODEL, {"n": 3}, status="queued", backend="local", job_id="8")
    for key in (unbound, bound, pooled):
        own(writer, key, {"pid": 4194305, "started": "1"})
    job = {"engine": "local", "job_id": "8", "meta": {"driver": writer.owner(dead=True)}}
    (private(writer, pooled) / "claims" / "1.job").write_text(json.dumps(job))
    rows = look()
    assert rows[unbound].attempt_status == "stale"
    assert rows[bound].attempt_status == "queued"
    assert rows[pooled].attempt_status == "stale"


def test_an_end_that_state_does_not_know_is_seen(writer: StoreWriter, look: Look) -> None:
    """A process that died between its end and its summary did end."""
    key = writer.add(MODEL, {}, status="running", host="node1")
    end = {"huldra": 1, "claim": 1, "status": "failed", "ended_at": writer.now.isoformat(),
           "by": {}, "error": {"type": "ValueError", "message": "no", "traceback": ""}}  # fmt: skip
    assert look()[key].attempt_status == "running"
    (private(writer, key) / "claims" / "1.end").write_text(json.dumps(end))
    row = look()[key]
    assert (row.attempt_status, row.result_status) == ("failed", "failed")
    assert (row.error_type, row.error_message) == ("ValueError", "no")


def test_a_attempt_that_state_does_not_know_is_seen(writer: StoreWriter, look: Look) -> None:
    """The claims are newer than the summary: a retry that was just queued is queued."""
    key = writer.add(MODEL, {}, status="failed")
    assert look()[key].attempt_status == "failed"
    claim = {"huldra": 1, "claim": 2, "kind": "queued", "claimed_at": writer.now.isoformat(),
             "owner": writer.owner(host="login1")}  # fmt: skip
    (private(writer, key) / "claims" / "2").write_text(json.dumps(claim))
    job = {"engine": "slurm", "job_id": "9", "meta": {}}
    (private(writer, key) / "claims" / "2.job").write_text(json.dumps(job))
    row = look()[key]
    assert (row.attempt_status, row.attempt_number) == ("queued", 2)
    assert (row.backend, row.job_id, row.hostname) == ("slurm", "9", "login1")


def test_success_that_a_later_attempt_voids_does_not_count(writer: StoreWriter, look: Look) -> None:
    """SUCCESS.json of attempt 1 counts for nothing once attempt 2 was opened."""
    key = writer.add(MODEL, {}, status="failed", attempts=("success",))
    success = private(writer, key) / "SUCCESS.json"
    writer.dump(success, {"huldra": 1, "claim": 1})
    assert look()[key].result_status == "failed"
    writer.dump(success, {"huldra": 1, "claim": 2})
    assert look()[key].result_status == "success"


def test_success_without_state_counts(writer: StoreWriter, look: Look) -> None:
    """An artifact that came with a git clone has neither state nor claims, and is made."""
    key = writer.add(MODEL, {"lr": 3}, version_controlled=True)
    folder = writer.directory(key, version_controlled=True) / ".huldra"
    (folder / "state.json").unlink()
    shutil.rmtree(folder / "claims")
    row = look()[key]
    assert (row.result_status, row.attempt_status, row.problem) == ("success", "", "")
    assert row.version_controlled
    assert row.config == {"lr": 3}
    assert row.hostname


def test_state_that_says_made_without_success_is_incomplete(
    writer: StoreWriter, look: Look
) -> None:
    """SUCCESS.json is the truth: without it the artifact is not made."""
    key = writer.add(MODEL, {})
    (private(writer, key) / "SUCCESS.json").unlink()
    assert look()[key].result_status == "incomplete"


def test_claims_alone_tell_the_state(writer: StoreWriter, look: Look) -> None:
    """A lost state.json costs nothing: the claims have it all."""
    key = writer.add(MODEL, {}, status="failed", host="node3", backend="slurm", job_id="5")
    (private(writer, key) / "state.json").unlink()
    row = look()[key]
    assert (row.attempt_status, row.result_status) == ("failed", "failed")
    assert (row.hostname, row.error_type) == ("node3", "builtins.ValueError")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"nul",
        b"\xff\xfe\x00",
        b'{"a":' * 5000,
        b"9" * 5000,
        b'{"result": 1}',
        b'{"result": [], "attempt": {"status": {}, "number": -1, "owner": 5, "error": [1]}}',
    ],
)
def test_an_unreadable_state_is_a_row_that_says_so(
    writer: StoreWriter, look: Look, content: bytes
) -> None:
    """Whatever stands in one state.json, the other artifacts are listed, and this one too."""
    good = writer.add(MODEL, {"n": 1})
    bad = writer.add(MODEL, {"n": 2})
    (private(writer, bad) / "state.json").write_bytes(content)
    rows = look()
    assert rows[good].problem == ""
    assert rows[bad].result_status == "success"
    assert content.startswith(b'{"result"') or "state.json" in rows[bad].problem


def test_an_unreadable_metadata_is_a_row_that_says_so(writer: StoreWriter, look: Look) -> None:
    """The problem stays while the file does, and goes with it."""
    key = writer.add(MODEL, {"n": 1})
    path = private(writer, key) / "metadata.json"
    good = path.read_bytes()
    path.write_bytes(good[:100])
    state = private(writer, key) / "state.json"
    assert "metadata.json" in look()[key].problem
    os.utime(state)
    row = look()[key]
    assert "metadata.json" in row.problem
    assert row.result_status == "success"
    path.write_bytes(good)
    assert look()[key].problem == ""


def test_a_pipe_in_place_of_a_file_is_not_waited_for(writer: StoreWriter, look: Look) -> None:
    """A FIFO named state.json is a problem of that row, and no hang."""
    key = writer.add(MODEL, {})
    path = private(writer, key) / "state.json"
    path.unlink()
    os.mkfifo(path)
    assert "not a regular file" in look()[key].problem


@pytest.mark.parametrize("linked", ["metadata.json", "state.json", ""])
def test_links_out_of_an_artifact_are_not_followed(
    writer: StoreWriter, catalog: Catalog, linked: str, tmp_path: Path
) -> None:
    """What a link in .huldra names is in no row and no detail; that it is a link is."""
    elsewhere = StoreWriter(tmp_path / "private")
    secret = elsewhere.add(MODEL, {"pin": 1234}, user="secret", status="running")
    key = writer.add(MODEL, {"n": 1})
    target = private(writer, key)
    if linked:
        (target / linked).unlink()
        (target / linked).symlink_to(private(elsewhere, secret) / linked)
    else:
        shutil.rmtree(target)
        target.symlink_to(private(elsewhere, secret))
    for _ in range(2):
        (row,) = catalog.snapshot(max_age_s=0).rows
        detail = catalog.detail(row)
        assert row.problem.endswith("a link")
        assert "secret" not in repr((row, detail)).replace(str(tmp_path), "")
        assert "1234" not in repr((row, detail))
        assert catalog.log_tail(row) == "" or linked


def test_text_that_utf8_lacks_is_replaced(writer: StoreWriter, look: Look) -> None:
    """A lone surrogate in a config does not reach whoever has to write it as UTF-8."""
    key = writer.add(MODEL, {"name": "a\ud800b"})
    config = look()[key].config
    assert config == {"name": "a\ufffdb"}


def test_unchanged_artifacts_are_not_read_again(writer: StoreWriter, catalog: Catalog) -> None:
    """A second look reads nothing, and one change costs one reading."""
    keys = [writer.add(MODEL, {"n": n}) for n in range(20)]
    first = catalog.snapshot(max_age_s=0)
    second = catalog.snapshot(max_age_s=0)
    assert (first.read, second.read) == (20, 0)
    assert second.generation == first.generation
    assert second.rows is first.rows
    writer.add(MODEL, {"n": 7}, status="failed")
    third = catalog.snapshot(max_age_s=0)
    assert third.read == 1
    assert third.generation == first.generation + 1
    changed = third.get(keys[7])
    assert changed is not None
    assert changed.attempt_status == "failed"


def test_a_store_that_grows_and_shrinks_is_followed(writer: StoreWriter, look: Look) -> None:
    """New artifacts appear and removed ones go, at the next look."""
    first = writer.add(MODEL, {"n": 1})
    assert set(look()) == {first}
    second = writer.add("proj.data/Data", {"n": 2})
    assert set(look()) == {first, second}
    shutil.rmtree(writer.directory(first))
    assert set(look()) == {second}


def test_metadata_that_comes_later_is_read(writer: StoreWriter, look: Look) -> None:
    """An artifact seen before its metadata was written gets its config when it is."""
    key = writer.add(MODEL, {"lr": 5}, status="running")
    path = private(writer, key) / "metadata.json"
    content = path.read_bytes()
    path.unlink()
    assert look()[key].config is None
    path.write_bytes(content)
    assert look()[key].config == {"lr": 5}


def test_a_store_that_is_written_to_meanwhile(writer: StoreWriter, catalog: Catalog) -> None:
    """Artifacts that come, change and go during a scan never make it fail."""
    done = threading.Event()

    def write() -> None:
        for n in range(60):
            writer.add(MODEL, {"n": n % 20}, status=("running", "success", "failed")[n % 3])
            if n % 5 == 0:
                shutil.rmtree(writer.directory(writer.add(MODEL, {"n": n % 20})))
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not done.is_set():
        for row in catalog.snapshot(max_age_s=0).rows:
            catalog.detail(row)
    thread.join(60)
    rows = catalog.snapshot(max_age_s=0).rows
    assert rows
    assert all(row.problem == "" and row.attempt_status for row in rows)


def test_several_roots_are_one_list(tmp_path: Path) -> None:
    """The same artifact in two roots is two rows; the first root's wins a plain lookup."""
    for name in ("a", "b"):
        StoreWriter(tmp_path / name).add(MODEL, {"n": 1}, status="success")
    catalog = Catalog([tmp_path / "a", tmp_path / "b", tmp_path / "absent"])
    snapshot = catalog.snapshot()
    assert [row.root for row in snapshot.rows] == [str(tmp_path / "a"), str(tmp_path / "b")]
    key = snapshot.rows[0].key
    found = snapshot.get(key)
    other = snapshot.get(key, str(tmp_path / "b"))
    assert found is snapshot.rows[0]
    assert other is snapshot.rows[1]


def test_what_is_no_artifact_is_not_listed(writer: StoreWriter, look: Look) -> None:
    """Files, folders of other names and half-removed artifacts are passed over."""
    key = writer.add(MODEL, {})
    folder = writer.directory(key).parent
    (folder / "notes").mkdir()
    (folder / f".{'0' * 32}.ab.tmp").mkdir()
    (folder / ("f" * 32)).write_text("a file")
    (Path(writer.root) / "data" / "stray.txt").write_text("")
    assert set(look()) == {key}


def test_a_folder_without_records_is_absent(writer: StoreWriter, look: Look) -> None:
    """A directory of the right name in which nothing was recorded yet is absent."""
    key = f"{MODEL}/{'a' * 32}"
    writer.directory(key).mkdir(parents=True)
    row = look()[key]
    assert (row.result_status, row.attempt_status, row.problem) == ("absent", "", "")


def test_a_missing_root_is_empty(tmp_path: Path) -> None:
    """A store that was not made yet has no artifacts, and is not made by looking."""
    catalog = Catalog([tmp_path / "none"])
    assert catalog.snapshot().rows == ()
    assert not (tmp_path / "none").exists()


def test_looking_writes_nothing(tmp_path: Path) -> None:
    """After every question the store's files, times and inodes are what they were."""
    root = tmp_path / "store"
    example_store(root, 60)

    def inventory() -> dict[str, tuple[int, int, int]]:
        found = [Path(folder) / name for folder, _, names in os.walk(root) for name in names]
        found += [Path(folder) for folder, _, _ in os.walk(root)]
        stats = ((str(path), path.stat()) for path in found)
        return {name: (s.st_mtime_ns, s.st_ino, s.st_size) for name, s in stats}

    before = inventory()
    catalog = Catalog([root])
    snapshot = catalog.snapshot()
    for row in snapshot.rows:
        catalog.detail(row)
        catalog.log_tail(row)
        catalog.metrics(row)
        catalog.files(row)
    catalog.sweeps()
    catalog.usage(snapshot.rows)
    catalog.litter()
    catalog.unreferenced()
    assert inventory() == before


def test_a_recent_snapshot_serves_all(writer: StoreWriter, catalog: Catalog) -> None:
    """Within the age that is asked for, all threads share one snapshot."""
    writer.add(MODEL, {})
    first = catalog.snapshot()
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(catalog.snapshot())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [first] * 4


def test_progress_is_told(writer: StoreWriter, catalog: Catalog) -> None:
    """A first scan calls back with how far it is."""
    for n in range(3):
        writer.add(MODEL, {"n": n})
    seen: list[tuple[int, int]] = []
    catalog.snapshot(on_progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (3, 3)


def test_detail_has_every_attempt(writer: StoreWriter, catalog: Catalog) -> None:
    """The detail lists all attempts with their ends, and the files as they were read."""
    key = writer.add(
        MODEL, {"lr": 1}, status="failed", attempts=("preempted", "crashed"), git_patch="diff\n"
    )
    row = catalog.snapshot().get(key)
    assert row is not None
    detail = catalog.detail(row)
    assert [(a.number, a.status) for a in detail.attempts] == [
        (1, "preempted"),
        (2, "crashed"),
        (3, "failed"),
    ]
    assert detail.attempts[2].error is not None
    assert detail.attempts[0].duration_s == 60
    assert detail.python_def == "Train(lr=1)"
    assert detail.git_patch_size == 5
    assert catalog.git_patch(row) == "diff\n"
    assert detail.problems == ()
    assert detail.row == row


def test_detail_tells_a_cancel_and_a_start(writer: StoreWriter, catalog: Catalog) -> None:
    """A queued attempt whose job began is `started`; an asked-for cancel shows."""
    key = writer.add(MODEL, {}, status="running", attempts=("preempted",))
    claims = private(writer, key) / "claims"
    claim = json.loads((claims / "1").read_text()) | {"kind": "queued"}
    (claims / "1").write_text(json.dumps(claim))
    (claims / "1.end").write_bytes((claims / "2").read_bytes())
    (claims / "2.cancel").write_text("{}")
    row = catalog.snapshot().get(key)
    assert row is not None
    first, second = catalog.detail(row).attempts
    assert (first.kind, first.status) == ("queued", "started")
    assert second.status == "running"
    assert second.cancel_requested
    assert second.hostname == socket.gethostname()


def test_the_log_is_read_from_its_end(writer: StoreWriter, catalog: Catalog) -> None:
    """A tail is whole lines, and following goes on where it stopped, mid-character too."""
    log = "".join(f"line {n} ü\n" for n in range(1000))
    key = writer.add(MODEL, {}, log=log)
    row = catalog.snapshot().get(key)
    assert row is not None
    assert catalog.log_tail(row, max_lines=2) == "line 998 ü\nline 999 ü\n"
    tail = catalog.log_tail(row, max_bytes=100)
    assert tail.startswith("line ")
    assert len(tail) < 100
    path = private(writer, key) / "huldra.log"
    _, after = catalog.log_from(row, -10)
    with path.open("ab") as file:
        file.write("ü".encode()[:1])
    text, after = catalog.log_from(row, after)
    assert text == ""
    with path.open("ab") as file:
        file.write("ü".encode()[1:] + b"!\n")
    text, after = catalog.log_from(row, after)
    assert text == "ü!\n"
    path.write_text("again\n")
    assert catalog.log_from(row, after) == ("again\n", 6)


def test_a_missing_log_is_empty(writer: StoreWriter, catalog: Catalog) -> None:
    """No log is no error."""
    key = writer.add(MODEL, {})
    (private(writer, key) / "huldra.log").unlink()
    row = catalog.snapshot().get(key)
    assert row is not None
    assert catalog.log_tail(row) == ""
    assert catalog.git_patch(row) == ""


def test_find_understands_what_people_type(writer: StoreWriter, catalog: Catalog) -> None:
    """A short hash, a class with one, a key and a directory all name the artifact."""
    key = writer.add(MODEL, {})
    digest = key[-32:]
    for text in (digest[:6], digest, f"Train/{digest[:8]}", key, str(writer.directory(key))):
        assert [row.key for row in catalog.find(text)] == [key], text
    for text in ("", "abc", digest[:3], f"Other/{digest}", "/", str(writer.root)):
        assert catalog.find(text) == (), text
