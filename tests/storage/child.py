"""What the tests of storage do in another process. `python child.py ACT URL …`; it tells what it did line by line."""

import asyncio
import os
import resource
import signal
import sys
import time
from pathlib import Path

from tertulia.storage.driver import connect
from tertulia.storage.home import HomeLock
from tertulia.storage.opening import open_storage
from tertulia.storage.unit import COMMITTED, Unit
from tertulia.storage.writer import StorageUnavailable, parse_url
from tests.storage import bank


def tell(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def hold(url: str, seconds: str) -> None:
    """Hold SQLite's write lock."""
    path = parse_url(url)
    assert not isinstance(path, str)
    connection = connect(path, busy_ms=5000)
    connection.execute("BEGIN IMMEDIATE")
    tell("held")
    time.sleep(float(seconds))
    connection.execute("COMMIT")


def write(url: str) -> None:
    """Write a row, as the command line does beside a server."""

    async def main() -> None:
        storage = open_storage(url, announce=True)
        await storage.open()
        assert await storage.commit(Unit(None, (), (bank.note_down("from outside"),), durable=True)) == COMMITTED
        await storage.close()

    asyncio.run(main())


def commit_for_ever(url: str, durable: str) -> None:
    """Commit units of two rows from twenty callers, and tell each id after its commit."""

    async def caller(storage) -> None:
        while True:
            of, one = bank.new(), bank.new()
            writes = (
                bank.open_account(of, 1, 0, 0),
                bank.add_entry(one, of, "done", "x" * 300, None, None, None, None),
            )
            assert await storage.commit(Unit(of, (), writes, durable == "durable")) == COMMITTED
            tell(of.hex())

    async def main() -> None:
        storage = open_storage(url)
        await storage.open()
        await asyncio.gather(*(caller(storage) for _ in range(20)))

    asyncio.run(main())


def fill_disk(url: str) -> None:
    """Write until files may not grow any more, see that, give room again, see that too."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    async def fill(storage) -> int:
        kept = 0
        while True:
            try:
                await storage.commit(Unit(None, (), (bank.note_down("x" * 2000),), durable=kept % 2 == 0))
            except StorageUnavailable as error:
                tell(f"full: {error}")
                return kept
            kept += 1

    async def main() -> None:
        storage = open_storage(url)
        await storage.open()
        await storage.commit(Unit(None, (), (bank.note_down("first"),), durable=True))
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
        kept = 1 + await fill(storage)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))  # nor the smallest write
        try:
            await storage.healthy()
        except StorageUnavailable:
            tell("ill")
        assert len(await storage.fetch(bank.seen_in_order())) == kept
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert await storage.healthy()
        assert await storage.commit(Unit(None, (), (bank.note_down("last"),), durable=True)) == COMMITTED
        rows = await storage.fetch(bank.seen_in_order())
        await storage.close()
        tell(f"well: {len(rows) - kept}")

    asyncio.run(main())


def lock(home: str) -> None:
    """Hold the lock of a home until killed."""
    HomeLock(Path(home)).acquire()
    tell("locked")
    time.sleep(60)


ACTS = {act.__name__: act for act in (hold, write, commit_for_ever, fill_disk, lock)}

if __name__ == "__main__":
    ACTS[sys.argv[1]](*sys.argv[2:])
