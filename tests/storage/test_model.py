"""Random units against a model: both databases give the outcomes and the rows that a dictionary gives."""

import asyncio
import copy
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete
from tests.postgres_cluster import Cluster
from tests.storage import bank

from tertulia.storage.statement import Bound, Statement
from tertulia.storage.unit import COMMITTED, Guard, Refused, Unit
from tertulia.storage.writer import Storage, StorageRejected, open_storage

ACCOUNTS = [bytes([n]) * 16 for n in range(3)]
_clear = [Statement(delete(table)) for table in reversed(bank.schema.sorted_tables)]


class BrokenError(Exception):
    """A constraint would not hold."""


@dataclass
class Model:
    """What should be in the tables."""

    accounts: dict[bytes, list[int]] = field(default_factory=dict)
    entries: dict[bytes, tuple[bytes, str]] = field(default_factory=dict)

    def add(self, one: bytes, of: bytes, state: str) -> None:
        opened = state == "queued" and (of, "queued") in self.entries.values()
        if one in self.entries or of not in self.accounts or opened:
            raise BrokenError
        self.entries[one] = (of, state)

    def run(self, command: tuple, of: bytes) -> int:
        """Do one command; gives the rows that it counts."""
        act, *rest = command
        account = self.accounts.get(of)
        match act:
            case "open_once":
                if account is not None:
                    return 0
                self.accounts[of] = [rest[0], 0, 0]
            case "open":
                if account is not None:
                    raise BrokenError
                self.accounts[of] = [rest[0], 0, 0]
            case "hold":
                if account is None or account[0] - account[1] < rest[0]:
                    return 0
                account[1] += rest[0]
            case "step":
                if account is None or account[2] != rest[0]:
                    return 0
                account[2] += 1
            case "exists":
                return int(account is not None)
            case "earn":
                if account is not None:
                    account[0] += rest[0]
            case "close":
                if any(owner == of for owner, _ in self.entries.values()):
                    raise BrokenError
                self.accounts.pop(of, None)
            case "add":
                self.add(one_of(of, rest[0]), of, rest[1])
            case "open_entry":
                one = one_of(of, rest[0])
                # The arbiter is the index of open entries; a known id is another conflict, and a fault.
                if (of, "queued") in self.entries.values():
                    return 0
                self.add(one, of, "queued")
            case "drop":
                self.entries.pop(one_of(of, rest[0]), None)
        return 1

    def commit(self, of: bytes, guards: list[tuple], writes: list[tuple]) -> object:
        before = copy.deepcopy((self.accounts, self.entries))
        try:
            for guard in guards:
                if self.run(guard, of) != 1:
                    return Refused(guard[0])
            for write in writes:
                self.run(write, of)
        except BrokenError:
            self.accounts, self.entries = before
            return StorageRejected
        return COMMITTED


def one_of(of: bytes, n: int) -> bytes:
    return of[:15] + bytes([n + 100])


def bound(command: tuple, of: bytes) -> Bound:
    act, *rest = command
    match act:
        case "open_once":
            return bank.open_account_once(of, rest[0], 0, 0)
        case "open":
            return bank.open_account(of, rest[0], 0, 0)
        case "hold":
            return bank.hold(rest[0], of)
        case "step":
            return bank.step(of, rest[0])
        case "exists":
            return bank.exists(of)
        case "earn":
            return bank.earn(of, rest[0])
        case "close":
            return bank.close_account(of)
        case "add":
            return bank.add_entry(one_of(of, rest[0]), of, rest[1], None, None, None, None, None)
        case "open_entry":
            return bank.open_entry(one_of(of, rest[0]), of)
    return bank.drop_entry(one_of(of, rest[0]))


amounts = st.integers(0, 20)
number = st.integers(0, 2)
writing_guard = st.one_of(
    st.tuples(st.just("open_once"), amounts),
    st.tuples(st.just("hold"), amounts),
    st.tuples(st.just("step"), number),
    st.tuples(st.just("open_entry"), number),
)
guards = st.tuples(st.lists(st.just(("exists",)), max_size=2), st.lists(writing_guard, max_size=1)).map(
    lambda pair: pair[0] + pair[1]
)
write = st.one_of(
    st.tuples(st.just("open"), amounts),
    st.tuples(st.just("earn"), amounts),
    st.tuples(st.just("add"), number, st.sampled_from(["queued", "done"])),
    st.tuples(st.just("drop"), number),
    st.just(("close",)),
)
units = st.tuples(st.sampled_from(ACCOUNTS), guards, st.lists(write, max_size=3), st.booleans())
rounds = st.lists(st.lists(units, min_size=1, max_size=8), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def both(
    runner: asyncio.Runner, postgres_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Storage]]:
    folder: Path = tmp_path_factory.mktemp("model")
    urls = [f"sqlite:///{folder / 't.db'}", postgres_cluster.create_database()]
    storages = []
    for url in urls:
        bank.create(url)
        storages.append(open_storage(url))
        runner.run(storages[-1].open())
    yield storages
    for storage in storages:
        runner.run(storage.close())
    postgres_cluster.drop_database(urls[1])


@pytest.mark.promise(32)
@settings(max_examples=60, deadline=None)
@given(rounds)
def test_random_units_have_the_models_outcomes_on_both(runner: asyncio.Runner, both: list[Storage], rounds):
    model = Model()
    expected = [[model.commit(of, guards, writes) for of, guards, writes, _ in together] for together in rounds]
    for storage in both:
        outcomes, accounts, entries = runner.run(play(storage, rounds))
        assert outcomes == expected
        assert accounts == {of: tuple(row) for of, row in model.accounts.items()}
        assert entries == model.entries


async def play(storage: Storage, rounds) -> tuple:
    await storage.commit(Unit(None, (), tuple(clear() for clear in _clear), durable=False))
    outcomes = []
    for together in rounds:
        futures = [
            storage.commit(
                Unit(
                    of,
                    tuple(Guard(bound(guard, of), name=guard[0]) for guard in guards),
                    tuple(bound(write, of) for write in writes),
                    durable,
                )
            )
            for of, guards, writes, durable in together
        ]
        with suppress(StorageRejected):
            await asyncio.gather(*futures)
        done = await asyncio.gather(*futures, return_exceptions=True)
        outcomes.append([type(one) if isinstance(one, Exception) else one for one in done])
    accounts = {row[0]: row[1:] for row in await storage.fetch(bank.accounts())}
    entries = {row[0]: (row[1], row[2]) for row in await storage.fetch(bank.entries())}
    return outcomes, accounts, entries
