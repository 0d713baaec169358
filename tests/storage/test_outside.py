"""Hearing of writes by other processes, and surviving the death of one's own."""

import asyncio
import random
import signal

import pytest

from tertulia.storage.opening import open_storage
from tertulia.storage.unit import COMMITTED, Unit
from tertulia.storage.writer import Storage
from tests.storage import bank
from tests.storage.processes import child


async def test_a_write_by_another_process_is_heard_of_and_ones_own_is_not(storage: Storage, url: str):
    heard = asyncio.Event()
    calls: list[None] = []

    def hear() -> None:
        calls.append(None)
        heard.set()

    storage.on_outside_write(hear)
    for n in range(5):
        await storage.commit(Unit(None, (), (bank.note_down(str(n)),), durable=True))
    await asyncio.sleep(1.2)  # longer than the poll
    assert not calls
    with child("write", url) as writer:
        await asyncio.wait_for(heard.wait(), 15)
        assert await asyncio.to_thread(writer.process.wait) == 0
    assert [what for _, what in await storage.fetch(bank.seen_in_order())][-1] == "from outside"


async def test_a_batch_hears_before_it_runs(sqlite_url: str):
    bank.create(sqlite_url)
    storage = open_storage(sqlite_url)
    await storage.open()
    calls: list[None] = []
    storage.on_outside_write(lambda: calls.append(None))
    with child("write", sqlite_url) as writer:
        assert await asyncio.to_thread(writer.process.wait) == 0
        await storage.commit(Unit(None, (), (bank.note_down("own"),), durable=False))
        assert calls
    await storage.close()


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("grade", ["durable", "relaxed"])
@pytest.mark.promise(5)
async def test_what_was_acknowledged_before_a_kill_is_there(url: str, grade: str, seed: int):
    dice = random.Random(seed)
    with child("commit_for_ever", url, grade) as committer:
        told = [await asyncio.to_thread(committer.line) for _ in range(dice.randrange(50, 400))]
        committer.process.send_signal(signal.SIGKILL)
        told += await asyncio.to_thread(committer.rest)
    acknowledged = {bytes.fromhex(line) for line in told if len(line) == 32}
    assert acknowledged
    storage = open_storage(url)
    await storage.open()
    accounts = {row[0] for row in await storage.fetch_long(bank.accounts())}
    entries = {row[1] for row in await storage.fetch_long(bank.entries())}
    assert acknowledged <= accounts
    assert accounts == entries  # no half units
    assert await storage.commit(Unit(None, (), (bank.note_down("after"),), durable=True)) == COMMITTED
    await storage.close()
