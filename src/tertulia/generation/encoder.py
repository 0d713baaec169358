"""The port of a dialect's stream: events in, bytes out, with no request behind it."""

from typing import Protocol

from tertulia.turn.events import Event
from tertulia.turn.fold import Gap


class Encoder(Protocol):
    """Writes the entries of one log as the frames of one dialect.

    Deterministic: the same entries give the same bytes, whoever asks and whenever. Stateful, so entries are handed
    over in order and once each. Frames of one entry come back joined; only the last carries the `id:` line, so that a
    resume never falls into the middle of an entry. An entry that the dialect does not show gives no bytes.
    """

    heartbeat: bytes
    """What keeps a silent connection open: a comment line."""
    done: bytes
    """What follows the last entry: `data: [DONE]`, or nothing."""

    def entry(self, number: int, event: Event) -> bytes:
        """Write one entry."""
        ...

    def gap(self, gap: Gap) -> bytes:
        """Say that entries are gone, and what replaces them."""
        ...
