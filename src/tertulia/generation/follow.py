"""Following a log: a place in its frames, moved on as the connection has room.

A follower keeps no bytes of its own. While its reader does not read, its place stays where it is; when there is room
again it goes on from there, so that a slow reader costs no memory but the socket's buffer and misses nothing.
"""

import asyncio
from collections.abc import Hashable
from typing import Final, final

from tertulia.generation.encoding import Encodings, MakeEncoder
from tertulia.generation.log import Log
from tertulia.generation.push import Push
from tertulia.observability.metrics import FOLLOWERS
from tertulia.turn.fold import Gap, fold

_SLICE: Final = 65536


@final
class Follower:
    """One connection that follows one encoding. `over` is done when all is written, or the client has left."""

    __slots__ = ("_encoding", "_encodings", "_full", "_place", "_push", "_until", "_variant", "over")

    def __init__(
        self,
        log: Log,
        encodings: Encodings,
        *,
        push: Push,
        variant: Hashable,
        make: MakeEncoder,
        after: int = 0,
        live: bool = True,
    ) -> None:
        self._encodings = encodings
        self._variant = variant
        self._push = push
        self._full = False
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place, gone = log.place_after(after)
        self._encoding = encodings.of(variant, make)
        self._place = place
        self._until = None if live else len(log.entries)
        if gone:
            self._push.write(self._encoding.encoder.gap(_gap(log, after, place)))
        self._encoding.join(self)
        FOLLOWERS.inc()
        push.on_room(self._room)
        push.on_gone(self.leave)
        self.pump()

    def pump(self) -> None:
        """Write what the connection has room for, and end the body after the last entry."""
        frames = self._encoding.frames
        end = len(frames) if self._until is None else self._until
        while self._place < end and not self._full:
            self._full = not self._push.write(self._next(frames, end))
        if self._place >= end and not self.over.done() and (self._until is not None or self._encoding.log.ended):
            if self._encoding.log.ended is not None:
                self._push.write(self._encoding.encoder.done)
            self._push.close()
            self.leave()

    def on_silence(self) -> None:
        """Keep the connection open through a silence."""
        if not self._full:
            self._full = not self._push.write(self._encoding.encoder.heartbeat)

    def leave(self) -> None:
        """Stop following; idempotent."""
        if not self.over.done():
            self.over.set_result(None)
            FOLLOWERS.dec()
            self._encodings.leave(self._variant, self)

    def _room(self) -> None:
        self._full = False
        if not self.over.done():
            self.pump()

    def _next(self, frames: list[bytes], end: int) -> bytes:
        """Take the next frames, about as many bytes as a socket takes at once."""
        if self._place + 1 == end:
            self._place = end
            return frames[-1] if end == len(frames) else frames[end - 1]
        taken: list[bytes] = []
        size = 0
        while self._place < end and size < _SLICE:
            frame = frames[self._place]
            taken.append(frame)
            size += len(frame)
            self._place += 1
        return b"".join(taken)


def _gap(log: Log, after: int, place: int) -> Gap:
    """What a follower needs that had entries which died with their process: all that is left, folded."""
    return Gap(after, log.number(place), fold(log.entries[:place]).choices(), "crash")
