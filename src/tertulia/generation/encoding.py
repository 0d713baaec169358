"""A log in one dialect: each entry turned into bytes once, whoever follows (Architecture, invariant 8)."""

import asyncio
from collections.abc import Callable, Hashable
from typing import Protocol, final

from tertulia.generation.encoder import Encoder
from tertulia.generation.log import Log

MakeEncoder = Callable[[], Encoder]


class Listener(Protocol):
    """Who is told by an encoding."""

    def pump(self) -> None:
        """Write what is new."""
        ...

    def on_silence(self) -> None:
        """Say that the connection is alive."""
        ...


@final
class Encoding:
    """The frames of a log, kept for as long as somebody follows it in this dialect.

    `frames[i]` are the bytes of entry `i + 1`. Followers are callables that write what they have not written yet.
    While the log is silent for `heartbeat_s`, `on_silence` of each follower is called.
    """

    __slots__ = ("_beat", "_followers", "_heartbeat_s", "_last", "encoder", "frames", "log")

    def __init__(self, log: Log, encoder: Encoder, heartbeat_s: float) -> None:
        self.log = log
        self.encoder = encoder
        self.frames: list[bytes] = []
        self._followers: list[Listener] = []
        self._heartbeat_s = heartbeat_s
        self._last = 0.0
        self._beat: asyncio.TimerHandle | None = None
        self._encode()
        log.on_append(self._appended)

    def join(self, follower: Listener) -> None:
        """Let somebody follow from now on."""
        self._followers.append(follower)
        if self._beat is None and self.log.ended is None:
            loop = asyncio.get_running_loop()
            self._last = loop.time()
            self._beat = loop.call_later(self._heartbeat_s, self._silence)

    def leave(self, follower: Listener) -> bool:
        """Let somebody go; True when nobody is left and the encoding has been taken off its log."""
        if follower in self._followers:
            self._followers.remove(follower)
        if self._followers:
            return False
        self._stop_beating()
        self.log.silence(self._appended)
        return True

    def _appended(self) -> None:
        self._encode()
        for follower in tuple(self._followers):
            follower.pump()
        if self._beat is not None:
            self._last = asyncio.get_running_loop().time()

    def _encode(self) -> None:
        entries, frames, entry = self.log.entries, self.frames, self.encoder.entry
        for n in range(len(frames), len(entries)):
            frames.append(entry(self.log.number(n + 1), entries[n]))

    def _silence(self) -> None:
        loop = asyncio.get_running_loop()
        due = self._last + self._heartbeat_s
        if loop.time() >= due:
            for follower in tuple(self._followers):
                follower.on_silence()
            self._last = loop.time()
            due = self._last + self._heartbeat_s
        self._beat = loop.call_at(due, self._silence) if self.log.ended is None else None

    def _stop_beating(self) -> None:
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None


@final
class Encodings:
    """The encodings of one log, by dialect and variant: made when first wanted, gone with the last follower."""

    __slots__ = ("_heartbeat_s", "_log", "_made")

    def __init__(self, log: Log, heartbeat_s: float) -> None:
        self._log = log
        self._heartbeat_s = heartbeat_s
        self._made: dict[Hashable, Encoding] = {}

    def of(self, variant: Hashable, make: MakeEncoder) -> Encoding:
        """Give the encoding of a variant."""
        found = self._made.get(variant)
        if found is None:
            found = self._made[variant] = Encoding(self._log, make(), self._heartbeat_s)
        return found

    def leave(self, variant: Hashable, follower: Listener) -> None:
        """Let a follower go, and the encoding with the last."""
        found = self._made.get(variant)
        if found is not None and found.leave(follower):
            del self._made[variant]

    @property
    def dialects(self) -> int:
        """How many dialects are being followed."""
        return len(self._made)
