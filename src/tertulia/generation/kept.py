"""Ended ephemeral generations, kept a while in memory for who follows late."""

import asyncio
from collections import OrderedDict
from typing import Final, final

import msgspec

from tertulia.generation.access import Stored
from tertulia.generation.log import Log
from tertulia.turn.weight import weight

_ENTRY_BYTES: Final = 160  # what an entry's objects weigh beside its text, about
_BASE_BYTES: Final = 1500  # what one that is kept weighs beside its entries, about


class KeptRun(msgspec.Struct, frozen=True):
    """What is left of a run: what a stored one's row would say, and its log. Not its prompt."""

    row: Stored
    log: Log


class _Entry(msgspec.Struct, frozen=True):
    kept: KeptRun
    size: int
    until: float


@final
class Kept:
    """Runs that have ended: each for `seconds`, all together within `most_bytes`, the oldest gone first."""

    def __init__(self, *, seconds: float, most_bytes: int) -> None:
        self._seconds = seconds
        self._most = most_bytes
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._bytes = 0

    def put(self, kept: KeptRun) -> None:
        """Keep a run that has just ended."""
        size = _BASE_BYTES + sum(_ENTRY_BYTES + weight(event) for event in kept.log.entries)
        until = asyncio.get_running_loop().time() + self._seconds
        self._entries[kept.row.id] = _Entry(kept, size, until)
        self._bytes += size
        self.expire()

    def get(self, generation_id: bytes) -> KeptRun | None:
        """Give one that is still there."""
        self.expire()
        found = self._entries.get(generation_id)
        return found.kept if found else None

    def expire(self) -> None:
        """Let go of what is over its time, and of the oldest while all are too much."""
        now = asyncio.get_running_loop().time()
        while self._entries:
            oldest = next(iter(self._entries.values()))
            if oldest.until > now and self._bytes <= self._most:
                return
            self._entries.popitem(last=False)
            self._bytes -= oldest.size
