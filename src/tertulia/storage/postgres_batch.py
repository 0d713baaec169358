"""One transaction of Postgres for the units of many callers, in as few round trips as can be."""

from collections.abc import Iterable
from typing import Final

import msgspec
from sqlalchemy import text

from tertulia.kernel.errors import TertuliaError
from tertulia.storage.backlog import Entry
from tertulia.storage.line import Answer, Fault, Line, Query
from tertulia.storage.statement import Bound, Statement
from tertulia.storage.unit import COMMITTED, Guard, Outcome, Refused
from tertulia.storage.writer import StorageRejected


def command(sql: str) -> Query:
    """Make a query of SQL without parameters."""
    return Query(Statement(text(sql)).postgres)


def query(bound: Bound) -> Query:
    """Encode a statement's values; raises whatever a value that cannot be stored raises."""
    form = bound.statement.postgres
    return Query(form, form.pack(bound.values))


_BEGIN: Final = command("BEGIN")
_RELAXED: Final = command("SET LOCAL synchronous_commit TO off")
_NAME: Final = command("SELECT pg_current_xact_id()::text")
_NOTIFY: Final = command("NOTIFY tertulia_changed")
_COMMIT: Final = command("COMMIT")
_ROLLBACK: Final = command("ROLLBACK")


class Guilty(Exception):
    """The batch must be rolled back; by whose fault, where that is known."""

    def __init__(self, entry: Entry | None, cause: Fault | TertuliaError) -> None:
        super().__init__(str(cause))
        self.entry = entry
        self.cause = cause


class Packed(msgspec.Struct, frozen=True):
    """A unit whose values are encoded, so that one that cannot be stored never reaches a batch."""

    entry: Entry
    guards: tuple[Query, ...]
    writes: tuple[Query, ...]


def pack(entry: Entry) -> Packed:
    """Encode a unit; raises as `query`."""
    unit = entry.unit
    return Packed(entry, tuple(query(guard.bound) for guard in unit.guards), tuple(map(query, unit.writes)))


class Batch:
    """One transaction: BEGIN with all first guards, then further guards if any, then writes with COMMIT.

    `xid` names the transaction to `pg_xact_status` once the first trip is back; `committing` is set when COMMIT is
    sent, from where on a lost connection leaves the outcome open.
    """

    def __init__(self, line: Line, units: list[Packed], *, announce: bool) -> None:
        self.units = units
        self.durable = any(packed.entry.unit.durable for packed in units)
        self.xid: str | None = None
        self.committing = False
        self._line = line
        self._announce = announce
        self._standing = units
        self._refused: dict[Entry, Refused] = {}
        self._opening = [_BEGIN, _NAME] if self.durable else [_BEGIN, _RELAXED, _NAME]

    @property
    def entries(self) -> list[Entry]:
        """The units' places in the queue."""
        return [packed.entry for packed in self.units]

    def outcomes(self) -> Iterable[tuple[Entry, Outcome]]:
        """What became of each unit, once the batch has run or its COMMIT is known to have been done."""
        return ((entry, self._refused.get(entry, COMMITTED)) for entry in self.entries)

    async def run(self) -> None:
        """Run to the end; raises `Guilty`, `LineLost`."""
        rank = 0
        while asked := [packed for packed in self._standing if len(packed.guards) > rank]:
            await self._ask(asked, rank)
            rank += 1
        if self._standing:
            await self._write()
        else:
            await self.roll_back()

    async def roll_back(self) -> None:
        """Undo all; raises `LineLost`."""
        await self._trip([(_ROLLBACK, None)])

    async def _ask(self, asked: list[Packed], rank: int) -> None:
        answers = await self._trip([(packed.guards[rank], packed.entry) for packed in asked])
        for packed, answer in zip(asked, answers, strict=True):
            guard = packed.entry.unit.guards[rank]
            if not _passes(guard, answer.count, packed.entry):
                self._refused[packed.entry] = Refused(guard.name)
        self._standing = [packed for packed in self._standing if packed.entry not in self._refused]

    async def _write(self) -> None:
        parts: list[tuple[Query, Entry | None]] = [
            (write, packed.entry) for packed in self._standing for write in packed.writes
        ]
        if self._announce:
            parts.append((_NOTIFY, None))
        if self._opening:
            # No guard: COMMIT still goes by itself, for only a transaction whose name is known can be asked after.
            await self._trip(parts)
            parts = []
        self.committing = True
        answers = await self._trip([*parts, (_COMMIT, None)])
        if answers[-1].tag != b"COMMIT":
            raise Guilty(None, StorageRejected("Postgres rolled a transaction back instead of committing it."))

    async def _trip(self, parts: list[tuple[Query, Entry | None]]) -> list[Answer]:
        opening, self._opening = self._opening, []
        try:
            answers = await self._line.exchange([*opening, *(part[0] for part in parts)])
        except Fault as fault:
            place = fault.index - len(opening)
            self.committing = False
            raise Guilty(parts[place][1] if place >= 0 else None, fault) from None
        if opening:
            self.xid = answers[len(opening) - 1].rows()[0][0]
        return answers[len(opening) :]


def _passes(guard: Guard, count: int, entry: Entry) -> bool:
    if count > 0 and count != guard.expect and guard.bound.statement.writes:
        fault = StorageRejected(f"The guard {guard.name!r} wrote {count} rows instead of {guard.expect}.")
        raise Guilty(entry, fault)
    return count == guard.expect
