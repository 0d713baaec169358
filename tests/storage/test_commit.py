"""The contract of `Storage.commit`, the same on both databases."""

import asyncio
import json
from pathlib import Path

import pytest
from sqlalchemy import Column, Table, Text, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateTable

from tertulia.storage.opening import open_storage
from tertulia.storage.statement import Id, Sequence, Statement, metadata
from tertulia.storage.unit import COMMITTED, Guard, Refused, Unit
from tertulia.storage.writer import (
    DatabaseUrlInvalid,
    Storage,
    StorageOverloaded,
    StorageRejected,
    StorageUnavailable,
    parse_url,
)
from tests.storage import bank
from tests.storage.bank import new
from tests.storage.conftest import Batches


def unit(*writes, guards=(), key=None, durable=True) -> Unit:
    return Unit(key, tuple(guards), tuple(writes), durable)


async def opened(storage: Storage, balance: int = 100) -> bytes:
    of = new()
    assert await storage.commit(unit(bank.open_account(of, balance, 0, 0))) == COMMITTED
    return of


async def account(storage: Storage, of: bytes) -> tuple:
    return (await storage.fetch(bank.one_account(of)))[0]


@pytest.mark.parametrize("durable", [True, False])
async def test_a_committed_unit_can_be_read_at_once(storage: Storage, durable):
    of, first, second = new(), new(), new()
    writes = (
        bank.open_account(of, 5, 0, 0),
        bank.add_entry(first, of, "done", "häß 日本", '{"a": [1, "ü"]}', b"\0\xff", 0.5, 1_700_000_000_000_000),
        bank.add_entry(second, of, "done", None, b"[]", None, None, None),
    )
    assert await storage.commit(unit(*writes, durable=durable)) == COMMITTED
    rows = {row[0]: row for row in await storage.fetch(bank.entries())}
    assert rows[first][1:] == (of, "done", "häß 日本", '{"a": [1, "ü"]}', b"\0\xff", 0.5, 1_700_000_000_000_000)
    assert rows[second][1:] == (of, "done", None, "[]", None, None, None)
    assert [type(value) for value in rows[first]] == [bytes, bytes, str, str, str, bytes, float, int]


async def test_sums_averages_and_truths_are_plain_numbers(storage: Storage):
    for balance in (2**40 - 5, 1, 2):
        await opened(storage, balance)
    (row,) = await storage.fetch(bank.totals(7))
    assert row == (2**40 - 2, 3, pytest.approx((2**40 - 2) / 3), 1)
    assert [type(value) for value in row] == [int, int, float, int]


async def test_a_guard_that_counts_nothing_refuses_the_whole_unit(storage: Storage):
    of = await opened(storage, 100)
    take = unit(bank.earn(of, 1), guards=[Guard(bank.hold(60, of), name="balance")])
    assert await storage.commit(take) == COMMITTED
    assert await storage.commit(take) == Refused("balance")
    assert await account(storage, of) == (101, 60, 0)


async def test_no_order_of_holds_overspends(storage: Storage):
    of = await opened(storage, 100)
    takes = [unit(guards=[Guard(bank.hold(30, of), name="balance")], key=of, durable=False) for _ in range(20)]
    outcomes = await asyncio.gather(*map(storage.commit, takes))
    assert outcomes.count(COMMITTED) == 3
    assert await account(storage, of) == (100, 90, 0)


async def test_a_conflict_is_a_refusal(storage: Storage):
    of = await opened(storage)
    again = unit(guards=[Guard(bank.open_account_once(of, 7, 7, 7), name="new")])
    assert await storage.commit(again) == Refused("new")
    first, second = new(), new()
    assert await storage.commit(unit(guards=[Guard(bank.open_entry(first, of), name="open")])) == COMMITTED
    assert await storage.commit(unit(guards=[Guard(bank.open_entry(second, of), name="open")])) == Refused("open")
    assert await account(storage, of) == (100, 0, 0)


async def test_conflicts_within_one_batch_are_refusals_too(storage: Storage, batches: Batches):
    of = new()
    opens = [unit(guards=[Guard(bank.open_account_once(of, n, 0, 0), name="new")]) for n in range(1, 4)]
    outcomes = await asyncio.gather(*map(storage.commit, opens))
    assert outcomes == [COMMITTED, Refused("new"), Refused("new")]
    assert batches.sizes == [3]
    assert await account(storage, of) == (1, 0, 0)


async def test_an_upsert_adds_to_what_is_there(storage: Storage):
    of, one = await opened(storage), new()
    await storage.commit(unit(bank.set_note(one, of, "a", "?")))
    await storage.commit(unit(bank.set_note(one, of, "b", "!")))
    assert [row[3] for row in await storage.fetch(bank.entries())] == ["b!"]


async def test_a_reading_guard_goes_before_the_writing_one(storage: Storage):
    of = await opened(storage)
    guards = [Guard(bank.exists(new()), name="other"), Guard(bank.hold(1, of), name="balance")]
    passing = [Guard(bank.exists(of), name="other"), Guard(bank.hold(1, of), name="balance")]
    free = [Guard(bank.exists(new()), expect=0, name="nobody")]
    units = [unit(guards=guards), unit(guards=passing), unit(bank.earn(of, 1), guards=free)]
    assert await asyncio.gather(*map(storage.commit, units)) == [Refused("other"), COMMITTED, COMMITTED]
    assert await account(storage, of) == (101, 1, 0)


def test_only_the_last_guard_may_write():
    of = new()
    with pytest.raises(ValueError, match="last guard"):
        unit(guards=[Guard(bank.hold(1, of)), Guard(bank.exists(of))])


async def test_a_guard_that_wrote_too_much_is_a_fault_and_leaves_nothing(storage: Storage):
    one, other = await opened(storage), await opened(storage)
    wide = storage.commit(unit(guards=[Guard(bank.earn_everywhere(5), name="one")]))
    beside = storage.commit(unit(bank.earn(one, 1)))
    with pytest.raises(StorageRejected, match="'one' wrote 2 rows"):
        await wide
    assert await beside == COMMITTED
    assert [await account(storage, of) for of in (one, other)] == [(101, 0, 0), (100, 0, 0)]


async def test_refusals_run_their_batch_once(storage: Storage, batches: Batches):
    of = await opened(storage, 10)
    batches.sizes.clear()
    units = [
        unit(bank.note_down(str(n)), guards=[Guard(bank.hold(100 if n % 2 else 0, of), name="balance")])
        for n in range(20)
    ]
    outcomes = await asyncio.gather(*map(storage.commit, units))
    assert outcomes == [COMMITTED, Refused("balance")] * 10
    assert sum(batches.sizes) == 20
    rows = await storage.fetch(bank.seen_in_order())
    assert [what for _, what in rows] == [str(n) for n in range(0, 20, 2)]
    assert [seq for seq, _ in rows] == list(range(1, 11))  # a replay would have counted on


_HALF = "\ud800"


@pytest.mark.parametrize(
    "poison",
    [
        lambda of: bank.open_account(of, 1, 0, 0),
        lambda of: bank.add_entry(new(), new(), "done", None, None, None, None, None),
        lambda of: bank.add_entry(new(), of, None, None, None, None, None, None),
        lambda of: bank.add_entry(new(), of, "done", "a\0b", None, None, None, None),
        lambda of: bank.add_entry(new(), of, "done", f"a{_HALF}", None, None, None, None),
        lambda of: bank.add_entry(new(), of, "done", None, '["\\u0000"]', None, None, None),
        lambda of: bank.add_entry(new(), of, "done", None, b'["\\ud800x"]', None, None, None),
        lambda of: bank.add_entry(new(), of, "done", None, '["\\udc00"]', None, None, None),
        lambda of: bank.add_entry(new(), of, "done", None, f'["{_HALF}"]', None, None, None),
        lambda of: bank.add_entry(new(), of, "done", None, b'"\xff"', None, None, None),
        lambda of: bank.earn(of, 2**63),
        lambda of: bank.earn(of, object()),
        lambda of: bank.promise_entry(new(), new()),
        lambda of: Statement(text("INSERT INTO nowhere VALUES (1)"))(),
    ],
    ids=[
        "unique",
        "reference",
        "not-null",
        "nul",
        "surrogate",
        "json-nul",
        "json-high-half",
        "json-low-half",
        "json-surrogate",
        "json-not-utf8",
        "too-large",
        "no-value",
        "deferred-reference",
        "no-table",
    ],
)
async def test_a_poisoned_unit_fails_alone(storage: Storage, poison):
    of = await opened(storage)
    before = [storage.commit(unit(bank.note_down(f"before {n}"))) for n in range(3)]
    bad = storage.commit(unit(bank.note_down("bad"), poison(of)))
    after = [storage.commit(unit(bank.note_down(f"after {n}"))) for n in range(3)]
    with pytest.raises(StorageRejected) as caught:
        await bad
    assert await asyncio.gather(*before, *after) == [COMMITTED] * 6
    assert [what for _, what in await storage.fetch(bank.seen_in_order())] == [
        *(f"before {n}" for n in range(3)),
        *(f"after {n}" for n in range(3)),
    ]
    assert caught.value.code == "storage_rejected"
    assert await storage.healthy()


async def test_what_looks_like_an_escape_and_is_none_is_stored(storage: Storage):
    of = await opened(storage)
    bodies = ['["\\\\u0000"]', '["\\ud83d\\ude00"]', '["\\\\ud800"]', '["\\u0041\\n\\"\\u00e9"]']
    for body in bodies:
        await storage.commit(unit(bank.add_entry(new(), of, "done", None, body, None, None, None)))
    stored = [json.loads(row[4]) for row in await storage.fetch(bank.entries())]
    assert sorted(stored) == sorted(json.loads(body) for body in bodies)


async def test_a_secret_value_is_in_no_error(storage: Storage):
    of = await opened(storage)
    for values in ((of, "done", f"canary{_HALF}"), (of, "done", "canary\0"), (new(), "done", "canary")):
        with pytest.raises(StorageRejected) as caught:
            await storage.commit(unit(bank.add_entry(new(), *values, None, None, None, None)))
        told = f"{caught.value!r} {caught.value.details} {caught.value.__cause__!r} {caught.value.__context__!r}"
        assert "canary" not in told


async def test_units_of_one_key_commit_in_order(storage: Storage):
    of = await opened(storage)
    steps = [
        unit(bank.note_down(str(n)), guards=[Guard(bank.step(of, n), name="cas")], key=of, durable=n % 3 == 0)
        for n in range(50)
    ]
    assert await asyncio.gather(*map(storage.commit, steps)) == [COMMITTED] * 50
    assert [what for _, what in await storage.fetch(bank.seen_in_order())] == [str(n) for n in range(50)]
    assert await account(storage, of) == (100, 0, 50)


async def test_callers_share_transactions(storage: Storage, batches: Batches):
    of = await opened(storage)
    batches.sizes.clear()
    outcomes = await asyncio.gather(*(storage.commit(unit(bank.earn(of, 1))) for _ in range(500)))
    assert outcomes == [COMMITTED] * 500
    assert sum(batches.sizes) == 500
    assert len(batches.sizes) < 50
    assert await account(storage, of) == (600, 0, 0)


_LEVEL = {
    "sqlite": "INSERT INTO seen (what) SELECT synchronous FROM pragma_synchronous",
    "postgresql": "INSERT INTO seen (what) SELECT current_setting('synchronous_commit')",
}


async def test_a_durable_unit_is_synced_and_a_relaxed_one_rides_along(storage: Storage, url: str, batches: Batches):
    level = Statement(text(_LEVEL[url.partition(":")[0]]))
    relaxed, full = ("1", "2") if url.startswith("sqlite") else ("off", "on")
    await storage.commit(unit(level(), durable=False))
    await storage.commit(unit(level(), durable=True))
    await storage.commit(unit(level(), durable=False))
    await asyncio.gather(storage.commit(unit(level(), durable=False)), storage.commit(unit(level(), durable=True)))
    levels = [what for _, what in await storage.fetch(bank.seen_in_order())]
    assert levels == [relaxed, full, relaxed, full, full]
    assert batches.synced == [False, True, False, True]


def test_on_sqlite_a_numbered_table_counts_on_and_a_keyed_one_lies_in_its_key():
    table = Table("numbered_for_a_test", metadata, Column("seq", Sequence, primary_key=True), Column("t", Text))
    keyed = Table("keyed_for_a_test", metadata, Column("id", Id, primary_key=True), Column("t", Text))
    try:
        assert "AUTOINCREMENT" in str(CreateTable(table).compile(dialect=sqlite.dialect()))
        assert "WITHOUT ROWID" in str(CreateTable(keyed).compile(dialect=sqlite.dialect()))
    finally:
        metadata.remove(table)
        metadata.remove(keyed)


async def test_more_units_than_the_queue_holds_are_refused_at_once(url: str):
    storage = open_storage(url, queue=3)
    await storage.open()
    futures = [storage.commit(unit(bank.note_down(str(n)))) for n in range(5)]
    outcomes = await asyncio.gather(*futures, return_exceptions=True)
    assert outcomes[:3] == [COMMITTED] * 3
    assert [type(outcome) for outcome in outcomes[3:]] == [StorageOverloaded] * 2
    assert {outcome.code for outcome in outcomes[3:] if isinstance(outcome, StorageOverloaded)} == {"overloaded"}
    assert await storage.commit(unit(bank.note_down("later"))) == COMMITTED
    await storage.close()


async def test_a_caller_that_goes_away_takes_nothing_back(storage: Storage):
    future = storage.commit(unit(bank.note_down("kept")))
    future.cancel()
    assert await storage.commit(unit(bank.note_down("next"))) == COMMITTED
    assert [what for _, what in await storage.fetch(bank.seen_in_order())] == ["kept", "next"]


async def test_closing_commits_what_waits_and_takes_no_more(url: str):
    storage = open_storage(url)
    await storage.open()
    futures = [storage.commit(unit(bank.note_down(str(n)), key=n % 7)) for n in range(300)]
    await storage.close()
    assert [future.result() for future in futures] == [COMMITTED] * 300
    with pytest.raises(StorageUnavailable, match="closed"):
        await storage.commit(unit(bank.note_down("late")))
    for read in (storage.fetch, storage.fetch_long):
        with pytest.raises(StorageUnavailable, match="closed"):
            await read(bank.accounts())
    await storage.close()  # again is nothing
    again = open_storage(url)
    await again.open()
    assert len(await again.fetch(bank.seen_in_order())) == 300
    await again.close()


async def test_closing_breaks_long_reads_off(url: str):
    storage = open_storage(url)
    await storage.open()
    reads = [asyncio.create_task(storage.fetch_long(bank.endless())) for _ in range(3)]
    await asyncio.sleep(0.2)
    async with asyncio.timeout(10):
        await storage.close()
        outcomes = await asyncio.gather(*reads, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * 3


async def test_a_big_unit_is_one_unit(storage: Storage):
    of = await opened(storage)
    rows = [bank.add_entry(new(), of, "done", "x" * 1000, None, None, None, None) for _ in range(3000)]
    assert await storage.commit(unit(*rows)) == COMMITTED
    assert len(await storage.fetch_long(bank.entry_ids())) == 3000


async def test_a_fault_in_who_listens_stops_no_write(url: str):
    def broken(*_: object) -> None:
        raise RuntimeError("broken listener")

    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(str(context["exception"])))
    storage = open_storage(url, observer=broken)
    await storage.open()
    for n in range(3):
        assert await storage.commit(unit(bank.note_down(str(n)))) == COMMITTED
    await storage.close()
    assert set(told) == {"broken listener"}


async def test_a_long_read_stands_in_nobodys_way(storage: Storage):
    reads = [asyncio.create_task(storage.fetch_long(bank.endless())) for _ in range(3)]
    for n in range(20):
        await storage.commit(unit(bank.note_down(str(n))))
        assert len(await storage.fetch(bank.seen_in_order())) == n + 1
    assert not any(read.done() for read in reads)
    for read in reads:
        read.cancel()
    await asyncio.wait(reads)
    assert len(await storage.fetch_long(bank.seen_in_order())) == 20


async def test_reading_what_cannot_be_read_is_a_typed_error(storage: Storage):
    for bad in (Statement(text("SELECT nothing FROM nowhere"))(), bank.exists("no id"), bank.totals(2**70)):
        for read in (storage.fetch, storage.fetch_long):
            if bad.values == ("no id",) and "Sqlite" in type(storage).__name__:
                continue  # SQLite compares anything with anything
            with pytest.raises(StorageRejected):
                await read(bad)
    assert await storage.fetch(bank.accounts()) == []


async def test_reads_do_not_write(storage: Storage):
    for read in (storage.fetch, storage.fetch_long):
        with pytest.raises(StorageUnavailable, match="read-only"):
            await read(bank.note_down("no"))
    assert await storage.fetch(bank.seen_in_order()) == []


@pytest.mark.parametrize("bad", ["", "x", "sqlite://", "sqlite:///", "sqlite:///:memory:", "mysql://a/b", "/tmp/x.db"])
def test_a_url_that_names_no_database_is_refused_without_repeating_it(bad: str):
    with pytest.raises(DatabaseUrlInvalid) as caught:
        open_storage(bad + "?password=canary" if bad else bad)
    assert "canary" not in str(caught.value)


def test_urls_of_both_kinds():
    assert parse_url("sqlite:////var/lib/t.db") == Path("/var/lib/t.db")
    assert parse_url("sqlite:///t.db") == Path("t.db")
    assert parse_url("postgres://h/d") == parse_url("postgresql+psycopg://h/d") == "postgresql://h/d"
