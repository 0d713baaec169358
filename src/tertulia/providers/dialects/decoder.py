"""The decoders that all wires share: they cut the body, mind its end, and leave the meaning to the wire's `Answer`."""

from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from tertulia.net.sse import FrameTooLong
from tertulia.providers.dialects.reading import without_nul
from tertulia.providers.failures import truncated, unreadable
from tertulia.providers.port import Finished, Said, UpstreamFault

_BODY_CAP: Final = 64 * 1024 * 1024


class Answer(Protocol):
    """The state of one answer of one wire."""

    def take(self, event: bytes, data: bytes, out: list[Said]) -> bool:
        """Read one frame, or a whole body, and add what it says; True when it is the wire's terminal.

        Raises `UpstreamFault`.
        """
        ...

    def flush(self, out: list[Said]) -> None:
        """Add what is held back, since nothing more will come."""
        ...

    def finished(self, *, terminal: bool) -> Finished:
        """Give how it ended; `terminal`: the wire's terminal has come.

        Raises `UpstreamFault` (`upstream_truncated`) when the answer is not complete.
        """
        ...


class Frames(Protocol):
    """A framing: `net.sse`."""

    def feed(self, data: bytes) -> Iterable[tuple[bytes, bytes]]:
        """Read more bytes."""
        ...

    def close(self) -> Iterator[tuple[bytes, bytes]]:
        """Take the end."""
        ...


class StreamDecoder:
    """Decoder of a stream of frames (see `Decoder`)."""

    __slots__ = ("_answer", "_frames", "done")

    def __init__(self, frames: Frames, answer: Answer) -> None:
        self._frames = frames
        self._answer = answer
        self.done = False

    def feed(self, data: bytes) -> list[Said]:
        """Read more bytes."""
        return [] if self.done else self._read(self._frames.feed(data))

    def close(self) -> tuple[list[Said], Finished]:
        """Take the end of the body."""
        out = [] if self.done else self._last()
        self._answer.flush(out)
        try:
            return out, self._answer.finished(terminal=self.done)
        except UpstreamFault as fault:
            raise UpstreamFault(fault.failure, out) from None

    def _last(self) -> list[Said]:
        """Read a frame that lacks its end; half of one is a cut, not a defect."""
        try:
            return self._read(self._frames.close())
        except UpstreamFault as fault:
            cut = fault.failure.fault.code == "upstream_invalid"
            raise UpstreamFault(truncated() if cut else fault.failure, fault.said) from None

    def _read(self, frames: Iterable[tuple[bytes, bytes]]) -> list[Said]:
        out: list[Said] = []
        take = self._answer.take
        try:
            for event, data in frames:
                if data and take(event, without_nul(data), out):
                    self.done = True
                    break
        except (UpstreamFault, FrameTooLong) as error:
            self._answer.flush(out)
            failure = error.failure if isinstance(error, UpstreamFault) else unreadable(error.message)
            raise UpstreamFault(failure, out) from None
        return out


class WholeDecoder:
    """Decoder of a whole body (see `Decoder`)."""

    __slots__ = ("_answer", "_length", "_pieces")

    done = False

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._pieces: list[bytes] = []
        self._length = 0

    def feed(self, data: bytes) -> list[Said]:
        """Keep more bytes."""
        self._length += len(data)
        if self._length > _BODY_CAP:
            raise UpstreamFault(unreadable(f"it is longer than {_BODY_CAP} bytes."))
        self._pieces.append(data)
        return []

    def close(self) -> tuple[list[Said], Finished]:
        """Read the body."""
        out: list[Said] = []
        body = b"".join(self._pieces)
        if not body.strip():
            raise UpstreamFault(truncated())
        try:
            self._answer.take(b"", without_nul(body), out)
            self._answer.flush(out)
            return out, self._answer.finished(terminal=True)
        except UpstreamFault as fault:
            raise UpstreamFault(truncated() if _is_cut(body, fault) else fault.failure, out) from None


def _is_cut(body: bytes, fault: UpstreamFault) -> bool:
    """Tell half of an object from what never was one."""
    unread = fault.failure.fault.code == "upstream_invalid"
    return unread and body.lstrip().startswith(b"{") and not body.rstrip().endswith(b"}")
