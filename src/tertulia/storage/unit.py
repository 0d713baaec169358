"""A unit: what one caller wants committed together, and the two outcomes that this can have."""

from collections.abc import Hashable
from typing import Final

import msgspec

from tertulia.storage.statement import Bound


class Guard(msgspec.Struct, frozen=True):
    """A statement whose row count decides: any other count than `expect` refuses the whole unit.

    An UPDATE or an INSERT … ON CONFLICT DO NOTHING counts the rows that it wrote, a SELECT those that it found.
    """

    bound: Bound
    expect: int = 1
    name: str = ""


class Unit(msgspec.Struct, frozen=True):
    """Guards in order, then writes, in one transaction, perhaps shared with units of other callers.

    `key` names what the guards and writes depend on: units of one key commit in the order in which they were given,
    and each sees what those before it wrote; between units of different keys nothing is promised. None: depends on
    nothing. A durable unit is synced (it survives the power cut); another survives the death of the process.
    Only the last guard may write, so that a refused unit leaves nothing behind. A unit is never split: on SQLite its
    statements run on the loop in one go (some 5 µs each), so that whoever has thousands of rows makes several units.
    """

    key: Hashable
    guards: tuple[Guard, ...]
    writes: tuple[Bound, ...]
    durable: bool

    def __post_init__(self) -> None:
        if len(self.guards) > 1 and any(guard.bound.statement.writes for guard in self.guards[:-1]):
            raise ValueError("Only the last guard of a unit may write")


class Committed(msgspec.Struct, frozen=True):
    """The unit is in the database, as durably as it asked for."""


class Refused(msgspec.Struct, frozen=True):
    """A guard counted otherwise than expected: nothing of the unit was written. An outcome, not a failure."""

    guard: str


Outcome = Committed | Refused

COMMITTED: Final = Committed()
