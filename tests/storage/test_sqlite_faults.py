"""What SQLite alone can suffer: foreign locks, full disks, files that go away, a growing log."""

import asyncio
import re
import threading
import time
from pathlib import Path

import pytest

from tertulia.storage import backlog, sqlite_reader
from tertulia.storage.driver import connect, library, library_warning
from tertulia.storage.opening import open_storage
from tertulia.storage.sqlite import SqliteStorage
from tertulia.storage.unit import COMMITTED, Unit
from tertulia.storage.writer import StorageUnavailable, parse_url
from tests.storage import bank
from tests.storage.processes import child


def note(what: str, *, durable: bool = True) -> Unit:
    return Unit(None, (), (bank.note_down(what),), durable)


@pytest.fixture
async def storage(sqlite_bank: str):
    storage = open_storage(sqlite_bank)
    assert isinstance(storage, SqliteStorage)
    await storage.open()
    yield storage
    await storage.close()


@pytest.fixture
def path(sqlite_url: str) -> Path:
    path = parse_url(sqlite_url)
    assert isinstance(path, Path)
    return path


async def longest_pause(until: asyncio.Future) -> float:
    """Measure the longest time for which the loop did not turn."""
    longest, last = 0.0, time.perf_counter()
    while not until.done():
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return longest


async def test_a_foreign_lock_is_waited_for_beside_the_loop(storage: SqliteStorage, sqlite_url: str):
    with child("hold", sqlite_url, "0.6") as holder:
        assert await asyncio.to_thread(holder.line) == "held"
        futures = [storage.commit(note(str(n), durable=n % 2 == 0)) for n in range(10)]
        assert await longest_pause(futures[-1]) < 0.3
        assert await asyncio.gather(*futures) == [COMMITTED] * 10
    assert [what for _, what in await storage.fetch(bank.seen_in_order())] == [str(n) for n in range(10)]


async def test_a_lock_held_for_too_long_is_told(storage: SqliteStorage, sqlite_url: str, monkeypatch):
    monkeypatch.setattr(backlog, "PATIENCE", 0.3)
    with child("hold", sqlite_url, "30") as holder:
        assert await asyncio.to_thread(holder.line) == "held"
        with pytest.raises(StorageUnavailable, match="lock"):
            await storage.commit(note("a"))
        assert await storage.fetch(bank.seen_in_order()) == []
    assert await storage.commit(note("b")) == COMMITTED


async def test_closing_under_a_foreign_lock_ends_in_time(sqlite_url: str, monkeypatch):
    monkeypatch.setattr(backlog, "PATIENCE", 0.3)
    bank.create(sqlite_url)
    storage = open_storage(sqlite_url)
    await storage.open()
    with child("hold", sqlite_url, "30") as holder:
        assert await asyncio.to_thread(holder.line) == "held"
        future = storage.commit(note("a"))
        async with asyncio.timeout(10):
            await storage.close()
        assert isinstance(future.exception(), StorageUnavailable)


async def test_a_crowd_of_units_lets_the_loop_turn(storage: SqliteStorage):
    futures = [storage.commit(note(str(n), durable=n % 2 == 0)) for n in range(9000)]
    assert await longest_pause(futures[-1]) < 0.3
    assert set(await asyncio.gather(*futures)) == {COMMITTED}


async def test_a_page_read_waits_for_an_exclusive_lock_beside_the_loop(storage: SqliteStorage, path: Path, monkeypatch):
    real = sqlite_reader.PageReader._read
    locked = [True]

    def busy(self, bound):
        if locked[0]:
            error = library.OperationalError("database is locked")
            error.sqlite_errorcode = 5
            raise error
        return real(self, bound)

    monkeypatch.setattr(sqlite_reader.PageReader, "_read", busy)
    reading = asyncio.create_task(storage.fetch(bank.seen_in_order()))
    await asyncio.sleep(0.05)
    assert not reading.done()
    locked[0] = False
    assert await reading == []
    locked[0] = True
    monkeypatch.setattr(sqlite_reader, "PATIENCE", 0.05)
    with pytest.raises(StorageUnavailable, match="lock"):
        await storage.fetch(bank.seen_in_order())


@pytest.mark.promise(29)
async def test_a_full_disk_is_told_and_got_over(sqlite_url: str):
    bank.create(sqlite_url)
    with child("fill_disk", sqlite_url) as filler:
        lines = await asyncio.to_thread(filler.rest)
    assert lines[0].startswith("full: The database cannot be used now")
    assert lines[1:] == ["ill", "well: 1"]


@pytest.mark.promise(29)
async def test_a_disk_that_turned_read_only_is_told_and_got_over(storage: SqliteStorage):
    assert await storage.commit(note("a")) == COMMITTED
    connection = storage._writer._connection
    assert connection is not None
    connection.execute("PRAGMA query_only=ON")
    futures = [storage.commit(note(str(n))) for n in range(3)]
    outcomes = await asyncio.gather(*futures, return_exceptions=True)
    assert isinstance(outcomes[0], StorageUnavailable)
    assert "read-only" in str(outcomes[0])
    assert await storage.healthy()
    assert await storage.commit(note("b")) == COMMITTED


@pytest.mark.promise(29)
async def test_a_commit_that_fails_is_replayed_unit_by_unit(storage: SqliteStorage, monkeypatch):
    writer = storage._writer
    real, failures = writer._commit, [2]

    def failing() -> None:
        if failures[0]:
            failures[0] -= 1
            error = library.OperationalError("disk I/O error")
            error.sqlite_errorcode = 10
            raise error
        real()

    monkeypatch.setattr(writer, "_commit", failing)
    outcomes = await asyncio.gather(*(storage.commit(note(str(n))) for n in range(5)), return_exceptions=True)
    assert isinstance(outcomes[0], StorageUnavailable)  # alone, it failed again
    assert outcomes[1:] == [COMMITTED] * 4
    assert [what for _, what in await storage.fetch(bank.seen_in_order())] == ["1", "2", "3", "4"]


async def test_nobody_waits_for_ever_behind_a_disk_that_hangs(storage: SqliteStorage, monkeypatch):
    monkeypatch.setattr(backlog, "PATIENCE", 0.1)
    writer, hanging = storage._writer, threading.Event()
    real = writer._commit

    def hang() -> None:
        hanging.wait(30)
        real()

    monkeypatch.setattr(writer, "_commit", hang)
    first = storage.commit(note("a"))
    while not writer._committing:
        await asyncio.sleep(0)
    with pytest.raises(StorageUnavailable, match="disk"):
        await storage.commit(note("b"))
    hanging.set()
    assert await first == COMMITTED
    assert await storage.commit(note("c")) == COMMITTED
    assert [what for _, what in await storage.fetch(bank.seen_in_order())] == ["a", "c"]


@pytest.mark.promise(29)
async def test_a_database_that_is_taken_away_is_missed(storage: SqliteStorage, path: Path):
    assert await storage.commit(note("a")) == COMMITTED
    aside = path.rename(path.with_name("aside"))
    with pytest.raises(StorageUnavailable, match="removed"):
        await storage.healthy()
    with pytest.raises(StorageUnavailable, match="removed"):
        await storage.commit(note("b"))
    path.touch()
    with pytest.raises(StorageUnavailable, match="replaced"):
        await storage.healthy()
    aside.rename(path)
    assert await storage.healthy()
    assert await storage.commit(note("c")) == COMMITTED
    assert [what for _, what in await storage.fetch(bank.seen_in_order())] == ["a", "c"]


async def test_a_file_that_is_no_database_is_told_on_opening(tmp_path: Path):
    (tmp_path / "t.db").write_bytes(b"no database at all" * 100)
    for bad in (tmp_path / "t.db", tmp_path / "no" / "folder.db", tmp_path):
        storage = open_storage(f"sqlite:///{bad}")
        with pytest.raises(StorageUnavailable, match="cannot be opened"):
            await storage.open()


async def test_the_file_is_its_owners_alone_and_set_up_as_meant(storage: SqliteStorage, path: Path):
    assert path.stat().st_mode & 0o777 == 0o600
    for connection in (storage._writer._connection, connect(path)):
        assert connection is not None
        told = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "foreign_keys", "secure_delete", "wal_autocheckpoint", "temp_store")
        }
        assert told == {
            "journal_mode": "wal",
            "foreign_keys": 1,
            "secure_delete": 1,
            "wal_autocheckpoint": 0,
            "temp_store": 2,
        }
        assert connection.execute("PRAGMA busy_timeout").fetchone()[0] == 0
    connection.close()


async def test_the_log_is_carried_over_and_kept_small(storage: SqliteStorage, path: Path, monkeypatch):
    monkeypatch.setattr("tertulia.storage.checkpoint._LARGE", 100_000)
    monkeypatch.setattr("tertulia.storage.checkpoint._KEPT", 50_000)
    log = path.with_name(f"{path.name}-wal")
    keeper = storage._checkpointer
    sizes = []
    for _ in range(6):
        await asyncio.gather(*(storage.commit(note("x" * 3000)) for _ in range(60)))
        await keeper.tick()
        sizes.append(log.stat().st_size)
    assert max(sizes) < 2 * sizes[0]  # began anew each time
    await keeper.tick()
    assert log.stat().st_size == 0
    assert len(await storage.fetch(bank.seen_in_order())) == 360


async def test_a_reader_in_the_way_only_delays_the_log(storage: SqliteStorage, path: Path, monkeypatch):
    monkeypatch.setattr("tertulia.storage.checkpoint.PATIENCE", 0.2)
    await storage.commit(note("a"))
    reader = connect(path)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM seen").fetchall()
    await storage.commit(note("b"))
    with pytest.raises(StorageUnavailable, match="long read"):
        await storage.scrub()
    assert await storage.commit(note("c")) == COMMITTED
    reader.close()
    await storage.scrub()
    assert path.with_name(f"{path.name}-wal").stat().st_size == 0


async def test_nothing_of_a_deleted_row_stays_on_disk(storage: SqliteStorage, path: Path):
    of, one = bank.new(), bank.new()
    secret = "canary" * 50
    await storage.commit(Unit(None, (), (bank.open_account(of, 1, 0, 0),), durable=True))
    await storage.commit(
        Unit(None, (), (bank.add_entry(one, of, "done", secret, None, None, None, None),), durable=True)
    )
    await storage.scrub()
    assert b"canary" in path.read_bytes()
    await storage.commit(Unit(None, (), (bank.drop_entry(one),), durable=True))
    await storage.scrub()
    assert not [file.name for file in path.parent.iterdir() if b"canary" in file.read_bytes()]


def test_the_library_of_this_process_is_a_safe_one():
    if library.__name__.startswith("pysqlite3"):
        assert library_warning() is None


def test_an_old_library_is_warned_of(monkeypatch):
    monkeypatch.setattr(library, "sqlite_version_info", (3, 40, 1))
    assert "3.51.3" in (library_warning() or "")


def test_sqlite_is_imported_in_one_place_only():
    source = Path(__file__).parents[2] / "src" / "tertulia"
    importing = re.compile(r"^\s*(import|from)\s+(sqlite3|pysqlite3|aiosqlite)\b", re.MULTILINE)
    found = {str(file.relative_to(source)) for file in source.rglob("*.py") if importing.search(file.read_text())}
    assert found == {"storage/driver.py"}
