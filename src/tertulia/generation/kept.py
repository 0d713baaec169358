"""Ended ephemeral generations, kept a while in memory for who follows late."""

import asyncio
from collections import OrderedDict
from typing import Final, final

from tertulia.generation.runner import Run
from tertulia.turn.events import Reasoning, Text, ToolCallDelta

_ENTRY_BYTES: Final = 150  # what an entry's objects weigh beside its text, about


@final
class Kept:
    """Runs that have ended: each for `seconds`, all together within `most_bytes`, the oldest gone first."""

    def __init__(self, *, seconds: float, most_bytes: int) -> None:
        self._seconds = seconds
        self._most = most_bytes
        self._runs: OrderedDict[bytes, tuple[Run, int, float]] = OrderedDict()
        self._bytes = 0

    def put(self, run: Run) -> None:
        """Keep a run that has just ended."""
        size = _weight(run)
        now = asyncio.get_running_loop().time()
        self._runs[run.order.generation_id] = (run, size, now + self._seconds)
        self._bytes += size
        self.expire()

    def get(self, generation_id: bytes) -> Run | None:
        """Give one that is still there."""
        self.expire()
        found = self._runs.get(generation_id)
        return found[0] if found else None

    def expire(self) -> None:
        """Let go of what is over its time, and of the oldest while all are too much."""
        now = asyncio.get_running_loop().time()
        while self._runs:
            oldest, (_, size, until) = next(iter(self._runs.items()))
            if until > now and self._bytes <= self._most:
                return
            del self._runs[oldest]
            self._bytes -= size


def _weight(run: Run) -> int:
    weight = _ENTRY_BYTES * len(run.log.entries)
    for event in run.log.entries:
        if isinstance(event, Text | Reasoning):
            weight += len(event.text)
        elif isinstance(event, ToolCallDelta):
            weight += len(event.arguments)
    return weight
