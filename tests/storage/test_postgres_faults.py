"""What Postgres alone can suffer: servers that go away, connections that break in the middle, foreign locks."""

import asyncio
import os
import signal
import time

import psycopg
import pytest
from sqlalchemy import text

from tertulia.storage import backlog, postgres, postgres_writer
from tertulia.storage.opening import open_storage
from tertulia.storage.postgres import PostgresStorage
from tertulia.storage.statement import Statement
from tertulia.storage.unit import COMMITTED, Guard, Unit
from tertulia.storage.writer import DatabaseUrlInvalid, StorageRejected, StorageUnavailable
from tests.postgres_cluster import Cluster
from tests.storage import bank


def note(what: str) -> Unit:
    return Unit(None, (), (bank.note_down(what),), durable=True)


@pytest.fixture
def impatient(monkeypatch):
    for module in (backlog, postgres, postgres_writer):
        monkeypatch.setattr(module, "PATIENCE", 0.8)


async def opened(url: str) -> PostgresStorage:
    storage = open_storage(url)
    assert isinstance(storage, PostgresStorage)
    await storage.open()
    return storage


@pytest.fixture
async def storage(postgres_bank: str):
    storage = await opened(postgres_bank)
    yield storage
    await storage.close()


def kick_everybody(cluster: Cluster) -> int:
    """Break every connection to the databases of tests."""
    sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'tertulia'"
    return cluster.execute(sql)[0][0]


async def test_a_server_that_is_not_there_is_told(tmp_path):
    storage = open_storage(f"postgresql://nobody@/none?host={tmp_path}")
    with pytest.raises(StorageUnavailable, match="cannot be reached"):
        await storage.open()
    await storage.close()


def test_a_url_that_cannot_be_read_is_refused():
    with pytest.raises(DatabaseUrlInvalid):
        open_storage("postgresql://h/d?nonsense=1")


async def test_idle_connections_that_break_are_made_anew(storage: PostgresStorage, postgres_cluster: Cluster):
    for n in range(3):
        assert await storage.commit(note(str(n))) == COMMITTED
        assert len(await storage.fetch(bank.seen_in_order())) == n + 1
        assert len(await storage.fetch_long(bank.seen_in_order())) == n + 1
        assert kick_everybody(postgres_cluster) >= 3
    assert await storage.healthy()


async def test_what_was_announced_while_the_line_was_down_is_not_missed(
    storage: PostgresStorage, postgres_cluster: Cluster
):
    heard = asyncio.Event()
    storage.on_outside_write(heard.set)
    kick_everybody(postgres_cluster)
    await asyncio.wait_for(heard.wait(), 10)


@pytest.mark.slow
async def test_units_are_counted_once_however_often_connections_break(
    storage: PostgresStorage, postgres_cluster: Cluster
):
    of = bank.new()
    await storage.commit(Unit(None, (), (bank.open_account(of, 0, 0, 0),), durable=True))
    stop = time.monotonic() + 2.0
    committed = open_ended = 0

    async def caller() -> None:
        nonlocal committed, open_ended
        while time.monotonic() < stop:
            try:
                unit = Unit(None, (Guard(bank.exists(of), name="account"),), (bank.earn(of, 1),), durable=True)
                assert await storage.commit(unit) == COMMITTED
                committed += 1
            except StorageUnavailable:
                open_ended += 1

    async def breaker() -> None:
        while time.monotonic() < stop:
            await asyncio.to_thread(kick_everybody, postgres_cluster)
            await asyncio.sleep(0.03)

    await asyncio.gather(breaker(), *(caller() for _ in range(8)))
    (row,) = await storage.fetch(bank.one_account(of))
    assert committed > 20
    assert open_ended == 0  # each was asked after until its fate was known
    assert row[0] == committed


async def test_a_commit_whose_answer_is_lost_is_asked_after(storage: PostgresStorage, monkeypatch):
    of = bank.new()
    await storage.commit(Unit(None, (), (bank.open_account(of, 0, 0, 0),), durable=True))
    for sent in (True, False):
        line = storage._writer._line
        assert line is not None
        real = line.exchange

        async def breaking(queries, *, line=line, real=real, sent=sent):
            if queries[-1].form.sql != b"COMMIT":
                return await real(queries)
            if sent:
                await real(queries)
            line.close()
            return await real(queries)  # raises: the line is lost

        monkeypatch.setattr(line, "exchange", breaking)
        unit = Unit(of, (Guard(bank.step(of, 0 if sent else 1), name="cas"),), (bank.earn(of, 1),), durable=True)
        assert await storage.commit(unit) == COMMITTED
    assert await storage.fetch(bank.one_account(of)) == [(2, 0, 2)]


async def test_a_commit_whose_fate_nobody_knows_is_no_success(storage: PostgresStorage, monkeypatch, impatient):
    line = storage._writer._line
    assert line is not None
    real = line.exchange

    async def breaking(queries):
        if queries[-1].form.sql == b"COMMIT":
            line.close()
        return await real(queries)

    monkeypatch.setattr(line, "exchange", breaking)

    async def still_running(self, line, doubt) -> None:
        await asyncio.sleep(0.05)
        self._expire()

    monkeypatch.setattr(postgres_writer.PostgresWriter, "_resolve", still_running)
    with pytest.raises(StorageUnavailable, match="does not say") as caught:
        await storage.commit(note("a"))
    assert caught.value.details == {"outcome": "unknown"}
    assert await storage.commit(note("b")) == COMMITTED


@pytest.mark.slow
@pytest.mark.promise(29)
async def test_a_server_that_dies_and_comes_back(mortal_cluster: Cluster):
    url = mortal_cluster.create_database()
    bank.create(url)
    storage = await opened(url)
    told: list[str] = []
    running = True

    async def caller(name: int) -> None:
        n = 0
        while running:
            n += 1
            try:
                await storage.commit(note(f"{name}/{n}"))
            except StorageUnavailable:
                continue
            told.append(f"{name}/{n}")

    callers = [asyncio.create_task(caller(name)) for name in range(6)]
    for _ in range(3):
        await asyncio.sleep(0.2)
        await asyncio.to_thread(mortal_cluster.halt, "QUIT")
        await asyncio.to_thread(mortal_cluster.start)
    await asyncio.sleep(0.3)
    running = False
    await asyncio.gather(*callers)
    rows = [what for _, what in await storage.fetch_long(bank.seen_in_order())]
    assert len(told) > 50
    assert set(told) <= set(rows)
    assert len(rows) == len(set(rows))  # none twice
    await storage.close()


@pytest.mark.slow
@pytest.mark.promise(29)
async def test_a_server_that_stays_away_is_told_in_time(mortal_cluster: Cluster, impatient):
    url = mortal_cluster.create_database()
    bank.create(url)
    storage = await opened(url)
    await asyncio.to_thread(mortal_cluster.halt)
    began = time.monotonic()
    for ask in (lambda: storage.commit(note("a")), lambda: storage.fetch(bank.accounts()), storage.healthy):
        with pytest.raises(StorageUnavailable):
            await ask()
    assert time.monotonic() - began < 8
    await asyncio.to_thread(mortal_cluster.start)
    async with asyncio.timeout(20):
        while True:
            try:
                assert await storage.commit(note("b")) == COMMITTED
                break
            except StorageUnavailable:
                continue
    assert await storage.healthy()
    assert [what for _, what in await storage.fetch(bank.seen_in_order())] == ["b"]
    await asyncio.to_thread(mortal_cluster.halt)
    last = storage.commit(note("c"))
    await storage.close()  # does not wait for ever
    with pytest.raises(StorageUnavailable):
        last.result()


@pytest.mark.slow
async def test_a_row_that_somebody_holds_stops_its_own_unit_only(storage: PostgresStorage, postgres_bank: str):
    held, free = bank.new(), bank.new()
    for of in (held, free):
        await storage.commit(Unit(None, (), (bank.open_account(of, 0, 0, 0),), durable=True))
    with psycopg.connect(postgres_bank) as holder:
        holder.execute("SELECT 1 FROM account WHERE id = %s FOR UPDATE", (held.hex(),))
        first = storage.commit(Unit(held, (), (bank.earn(held, 1),), durable=True))
        second = storage.commit(Unit(free, (), (bank.earn(free, 1),), durable=True))
        assert await second == COMMITTED
        with pytest.raises(StorageUnavailable, match="lock"):
            await first
    assert await storage.commit(Unit(held, (), (bank.earn(held, 1),), durable=True)) == COMMITTED


async def test_deadlocked_batches_of_two_processes_both_go_through(storage: PostgresStorage, postgres_bank: str):
    one, two = bank.new(), bank.new()
    for of in (one, two):
        await storage.commit(Unit(None, (), (bank.open_account(of, 0, 0, 0),), durable=True))
    other = await opened(postgres_bank)

    nap = Statement(text("DO 'BEGIN PERFORM pg_sleep(0.2); END'"))

    def crossed(first: bytes, second: bytes) -> Unit:
        return Unit(None, (), (bank.earn(first, 1), nap(), bank.earn(second, 1)), durable=False)

    outcomes = await asyncio.gather(storage.commit(crossed(one, two)), other.commit(crossed(two, one)))
    assert outcomes == [COMMITTED, COMMITTED]
    assert [row[1] for row in await storage.fetch(bank.accounts())] == [2, 2]
    await other.close()


async def test_a_table_that_changed_under_a_prepared_statement(postgres_url: str):
    bank.create(postgres_url)
    storage = await opened(postgres_url)
    every = Statement(text("SELECT * FROM seen"))
    guard = Guard(every(), expect=0, name="none")
    assert await storage.fetch(every()) == []
    assert await storage.commit(Unit(None, (guard,), (), durable=True)) == COMMITTED
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE seen ADD COLUMN more bigint")
    assert await storage.fetch(every()) == []
    assert await storage.commit(Unit(None, (guard,), (bank.note_down("a"),), durable=True)) == COMMITTED
    assert await storage.fetch(every()) == [(1, "a", None)]
    await storage.close()


async def test_a_server_that_falls_silent_is_given_up(postgres_bank: str, postgres_cluster: Cluster, impatient):
    storage = await opened(postgres_bank)
    ((pid,),) = postgres_cluster.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'tertulia' AND query LIKE '%LISTEN%'"
    )
    assert await storage.commit(note("before")) == COMMITTED
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StorageUnavailable):
            await storage.commit(note("silence"))
    finally:
        os.kill(pid, signal.SIGCONT)
    assert await storage.commit(note("after")) == COMMITTED
    assert [what for _, what in await storage.fetch(bank.seen_in_order())] == ["before", "after"]
    await storage.close()


async def test_a_unit_may_take_longer_than_a_silence_may(postgres_bank: str, impatient):
    storage = await opened(postgres_bank)
    nap = Statement(text("SELECT 1 FROM pg_sleep(0.003)"))
    assert await storage.commit(Unit(None, (), (bank.note_down("a"), *(nap() for _ in range(500))), True)) == COMMITTED
    assert [what for _, what in await storage.fetch(bank.seen_in_order())] == ["a"]
    await storage.close()


async def test_more_data_than_a_socket_takes_goes_both_ways(storage: PostgresStorage):
    of = bank.new()
    await storage.commit(Unit(None, (), (bank.open_account(of, 0, 0, 0),), durable=True))
    big = "é" * 2_000_000
    writes = tuple(bank.add_entry(bank.new(), of, "done", big, None, None, None, None) for _ in range(5))
    assert await storage.commit(Unit(None, (), writes, durable=True)) == COMMITTED
    assert [row[3] for row in await storage.fetch_long(bank.entries())] == [big] * 5


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("1::int2", 1),
        ("-7::int8", -7),
        ("'a'::varchar", "a"),
        ("'a'::name", "a"),
        ("'{\"b\":  1}'::json", '{"b":  1}'),
        ("'{\"b\":  1}'::jsonb", '{"b": 1}'),
        ("true", 1),
        ("'\\x00ff'::bytea", b"\0\xff"),
        ("0.5::float4", 0.5),
        ("1e300::float8", 1e300),
        ("sum(x) FROM (VALUES (9223372036854775807), (9223372036854775807)) AS v(x)", 18446744073709551614),
        ("-120000::numeric", -120000),
        ("0::numeric", 0),
        ("-12.0625::numeric", -12.0625),
        ("100000000.0001::numeric", 100000000.0001),
        ("NULL::bigint", None),
        ("'00000000-0000-0000-0000-0000000000ff'::uuid", bytes(15) + b"\xff"),
    ],
)
async def test_values_are_read_as_sqlite_would_give_them(storage: PostgresStorage, sql: str, value):
    ((read,),) = await storage.fetch(Statement(text(f"SELECT {sql}".replace(":", "\\:")))())
    assert read == value
    assert type(read) is type(value)


async def test_a_type_that_storage_does_not_read_is_told(storage: PostgresStorage):
    with pytest.raises(StorageRejected, match="OID 600"):
        await storage.fetch(Statement(text("SELECT point(1, 2)"))())
    assert await storage.healthy()
