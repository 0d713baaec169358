"""The port of a connection that is written to without waiting."""

from collections.abc import Callable
from typing import Protocol


class Push(Protocol):
    """An open response body, straight to the socket.

    `write` never waits and never raises; it says whether there is room for more. After False nothing should be
    written until `on_room` calls. `on_gone` calls once, when the client has left, also while nothing is being written;
    at once if it has left already.
    """

    def write(self, data: bytes) -> bool:
        """Send bytes of the body; False when the buffer is full or the client has gone."""
        ...

    def on_room(self, call: Callable[[], None]) -> None:
        """Register what is called when the buffer has emptied after it was full."""
        ...

    def on_gone(self, call: Callable[[], None]) -> None:
        """Register what is called when the client has left."""
        ...

    def close(self) -> None:
        """End the body; idempotent."""
        ...
