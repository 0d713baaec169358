"""Random units against a model: both databases give the outcomes and the rows that a dictionary gives."""

import asyncio
import copy
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from tertulia.storage.opening import open_storage
from tertulia.storage.statement import Bound, Statement
from tertulia.storage.unit import COMMITTED, Guard, Refused, Unit
from tertulia.storage.writer import Storage, StorageRejected
from tests.postgres_cluster import Cluster
from tests.storage import bank

ACCOUNTS = [bytes([n]) * 16 for n in range(3)]
_clear = [Statement(delete(table)) for table in reversed(bank.schema.sorted_tables)]


class BrokenError(Exception):
    """A constraint would not hold."""


@dataclass
class Model:
    """What should be in the tables."""

    accounts: dict[bytes, list[int]] = field(default_factory=dict)
    entries: dict[bytes, tuple[bytes, str]] = field(default_factory=dict)

    def run(self, command: tuple, of: bytes) -> int:
        """Do one command; gives the rows that it counts."""
        act, *rest = command
        return getattr(self, act)(of, *rest)

    def open(self, of: bytes, balance: int) -> int:
        if of in self.accounts:
            raise BrokenError
        self.accounts[of] = [balance, 0, 0]
        return 1

    def open_once(self, of: bytes, balance: int) -> int:
        return 0 if of in self.accounts else self.open(of, balance)

    def hold(self, of: bytes, amount: int) -> int:
        account = self.accounts.get(of)
        if account is None or account[0] - account[1] < amount:
            return 0
        account[1] += amount
        return 1

    def step(self, of: bytes, seen: int) -> int:
        account = self.accounts.get(of)
        if account is None or account[2] != seen:
            return 0
        account[2] += 1
        return 1

    def exists(self, of: bytes) -> int:
        return int(of in self.accounts)

    def earn(self, of: bytes, amount: int) -> int:
        if of in self.accounts:
            self.accounts[of][0] += amount
        return self.exists(of)

    def close(self, of: bytes) -> int:
        if any(owner == of for owner, _ in self.entries.values()):
            raise BrokenError
        return int(self.accounts.pop(of, None) is not None)

    def add(self, of: bytes, n: int, state: str) -> int:
        one = one_of(of, n)
        opened = state == "queued" and (of, "queued") in self.entries.values()
        if one in self.entries or of not in self.accounts or opened:
            raise BrokenError
        self.entries[one] = (of, state)
        return 1

    def open_entry(self, of: bytes, n: int) -> int:
        # The arbiter is the index of open entries; a known id is another conflict, and a fault.
        return 0 if (of, "queued") in self.entries.values() else self.add(of, n, "queued")

    def drop(self, of: bytes, n: int) -> int:
        return int(self.entries.pop(one_of(of, n), None) is not None)

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


STATEMENTS: dict[str, Callable[..., Bound]] = {
    "open": lambda of, balance: bank.open_account(of, balance, 0, 0),
    "open_once": lambda of, balance: bank.open_account_once(of, balance, 0, 0),
    "hold": lambda of, amount: bank.hold(amount, of),
    "step": bank.step,
    "exists": bank.exists,
    "earn": bank.earn,
    "close": bank.close_account,
    "add": lambda of, n, state: bank.add_entry(one_of(of, n), of, state, None, None, None, None, None),
    "open_entry": lambda of, n: bank.open_entry(one_of(of, n), of),
    "drop": lambda of, n: bank.drop_entry(one_of(of, n)),
}


def bound(command: tuple, of: bytes) -> Bound:
    act, *rest = command
    return STATEMENTS[act](of, *rest)


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
