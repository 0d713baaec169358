"""The event log of one generation in memory: appended by one writer, read by anyone."""

from collections.abc import Callable, Iterable, Sequence
from typing import final

from tertulia.kernel.errors import Kind, TertuliaError
from tertulia.turn.events import EPOCH_BITS, Ended, Event, number

_LOW = (1 << EPOCH_BITS) - 1


class InvalidEventId(TertuliaError):
    """An event id that is malformed, or that this generation can never have given."""

    kind = Kind.MALFORMED
    code = "invalid_event_id"

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text[:40]!r} is no event id of this generation. Send the last `id:` that you received, or none."
        )


@final
class Log:
    """Entries 1, 2, 3, … of a generation.

    `epochs` says which writer wrote which: pairs of the first entry and its epoch, ascending. Whoever wants to know of
    new entries gives a callable to `on_append`; it is called in the writer's own stack, after each batch.
    """

    __slots__ = ("_calls", "entries", "epochs")

    def __init__(self, epoch: int = 0, entries: Iterable[Event] = ()) -> None:
        self.entries: list[Event] = list(entries)
        self.epochs: list[tuple[int, int]] = [(1, epoch)]
        self._calls: list[Callable[[], None]] = []

    def append(self, batch: Sequence[Event]) -> None:
        """Add entries, and tell those who want to know."""
        self.entries.extend(batch)
        for call in tuple(self._calls):  # a call may take registrations back
            call()

    def take_over(self, epoch: int) -> None:
        """Let a new writer go on: entries from here on carry its epoch."""
        self.epochs.append((len(self.entries) + 1, epoch))

    def on_append(self, call: Callable[[], None]) -> None:
        """Register what is called after each batch."""
        self._calls.append(call)

    def silence(self, call: Callable[[], None]) -> None:
        """Take a registration back."""
        self._calls.remove(call)

    @property
    def ended(self) -> Ended | None:
        """The last entry of an ended generation."""
        last = self.entries[-1] if self.entries else None
        return last if isinstance(last, Ended) else None

    @property
    def last_number(self) -> int:
        """The number of the newest entry; 0 where there is none."""
        return self.number(len(self.entries)) if self.entries else 0

    def number(self, n: int) -> int:
        """Give the number of entry `n`, which counts from 1."""
        epoch = self.epochs[0][1]
        for first, its in self.epochs:
            if n >= first:
                epoch = its
        return number(epoch, n)

    def place_after(self, event_id: int) -> tuple[int, bool]:
        """Find where a follower that has `event_id` goes on.

        Gives how many entries it is past, and whether it had more than what is left of that writer's entries (its
        process died before they were durable), so that it needs a gap. Raises `InvalidEventId` for a number that
        was never given.
        """
        if event_id == 0:
            return 0, False
        epoch, n = event_id >> EPOCH_BITS, event_id & _LOW
        for place, (first, its) in enumerate(self.epochs):
            if its != epoch:
                continue
            is_last = place + 1 == len(self.epochs)
            end = len(self.entries) if is_last else self.epochs[place + 1][0] - 1
            if first <= n <= end:
                return n, False
            if n > end and not is_last:
                return end, True
        raise InvalidEventId(str(event_id))


def parse_event_id(text: str) -> int:
    """Read an event id. Raises `InvalidEventId` for what is not a decimal number of at most 63 bits."""
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise InvalidEventId(text)
    return int(text)
