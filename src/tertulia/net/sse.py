"""Framings of a streamed body: server-sent events (WHATWG HTML, 9.2) and lines of JSON.

Both are pure and incremental, take bytes cut anywhere, and join a frame once, when it ends. A frame longer than its cap
is an error, never a memory leak.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from tertulia.kernel.errors import Kind, TertuliaError

LINE_CAP: Final = 8 * 1024 * 1024
IMAGE_LINE_CAP: Final = 32 * 1024 * 1024
"""The cap where a model makes images, which come as one line each."""

_BOM: Final = b"\xef\xbb\xbf"
_PLAIN: Final = b"data: "
_LF: Final = 10  # looking for a number in bytes costs a tenth of looking for a string of one
_CR: Final = 13


class FrameTooLong(TertuliaError):
    """A frame is longer than its cap, or does not end within it."""

    kind = Kind.UPSTREAM
    code = "upstream_invalid"

    def __init__(self, cap: int) -> None:
        super().__init__(f"The provider sent a frame of more than {cap} bytes.")


class _Splitter:
    """Cuts bytes at a separator of one or two equal bytes; holds the pieces of what has not ended."""

    __slots__ = ("_cap", "_held", "_pieces", "_separator", "holding", "overflown")

    def __init__(self, separator: bytes, cap: int) -> None:
        self._separator = separator
        self._cap = cap
        self._pieces: list[bytes] = []
        self._held = 0
        self.holding = False
        self.overflown = False

    def feed(self, data: bytes) -> list[bytes]:
        """Give the frames that `data` ends, up to one that is too long: then `overflown` is set."""
        straddles = self.holding
        frames = self._continued(data) if straddles else data.split(self._separator)
        if len(frames) == 1 and straddles:
            self._hold(data)
            return []
        if rest := frames.pop():
            self._hold(rest)
        return self._within_cap(frames) if straddles or len(data) > self._cap else frames

    def rest(self) -> bytes:
        """Give what has come of a frame that did not end, and forget it."""
        rest = b"".join(self._pieces)
        self._pieces, self._held, self.holding = [], 0, False
        return rest

    def _continued(self, data: bytes) -> list[bytes]:
        """Cut `data` where pieces are held; one item alone says that it does not end their frame."""
        half = self._separator[1:]
        if half and self._pieces[-1].endswith(half) and data.startswith(half):
            return [self.rest()[:-1], *data[1:].split(self._separator)]
        end, *later = data.split(self._separator)
        return [self.rest() + end, *later] if later else [end]

    def _hold(self, piece: bytes) -> None:
        self.holding = True
        self._pieces.append(piece)
        self._held += len(piece)
        if self._held >= self._cap + len(self._separator):
            self.overflown = True

    def _within_cap(self, frames: list[bytes]) -> list[bytes]:
        for place, frame in enumerate(frames):
            if len(frame) > self._cap:
                self.overflown = True
                return frames[:place]
        return frames


class SseParser:
    """Reads server-sent events: `(event, data)` pairs, where `event` is empty unless the stream names it.

    Lines end with LF, CRLF or CR, a leading byte order mark is dropped, `data` lines of one event are joined by LF,
    comments, `id` and `retry` are passed over. Event streams are cut only between events.
    """

    __slots__ = ("_after_cr", "_cap", "_head", "_splitter")

    def __init__(self, cap: int = LINE_CAP) -> None:
        self._cap = cap
        self._splitter = _Splitter(b"\n\n", cap)
        self._head: bytes | None = b""
        self._after_cr = False

    def feed(self, data: bytes) -> Iterable[tuple[bytes, bytes]]:
        """Read more bytes.

        Raises `FrameTooLong`, after the events before the one that is too long.
        """
        if self._head is not None or self._after_cr or _CR in data or len(data) > self._cap or self._splitter.holding:
            return self._feed(data)
        if data.find(b"\n") == len(data) - 2 and data[:6] == _PLAIN and data[-1] == _LF:
            return ((b"", data[6:-2]),)  # one whole event of one line, as most reads are
        return _events(data.split(b"\n\n")) if data[-2:] == b"\n\n" else self._feed(data)

    def _feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        data = self._with_plain_ends(data)
        if not data:
            return
        yield from _events(self._splitter.feed(data))
        if self._splitter.overflown:
            raise FrameTooLong(self._cap)

    def close(self) -> Iterator[tuple[bytes, bytes]]:
        """Take the end of the stream, and give an event that lacks only the blank line after it."""
        rest = self._splitter.rest()
        if rest and (event := _event(rest)) is not None:
            yield event

    def _with_plain_ends(self, data: bytes) -> bytes:
        if self._head is not None:
            data = self._without_mark(self._head + data)
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if _CR in data:
            self._after_cr = data.endswith(b"\r")
            return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data

    def _without_mark(self, data: bytes) -> bytes:
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._head = data
            return b""
        self._head = None
        return data.removeprefix(_BOM)


def _events(frames: list[bytes]) -> list[tuple[bytes, bytes]]:
    out: list[tuple[bytes, bytes]] = []
    for frame in frames:
        if frame[:6] == _PLAIN and _LF not in frame:
            out.append((b"", frame[6:]))
        elif frame and (event := _event(frame)) is not None:
            out.append(event)
    return out


def _event(frame: bytes) -> tuple[bytes, bytes] | None:
    """Read the lines of one event; None when it has no data."""
    name, lines = b"", list[bytes]()
    for line in frame.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            lines.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return (name, b"\n".join(lines)) if lines else None


class LineParser:
    """Reads lines of JSON (NDJSON) as pairs of an empty event name and a line; blank lines are passed over."""

    __slots__ = ("_cap", "_splitter")

    def __init__(self, cap: int = LINE_CAP) -> None:
        self._cap = cap
        self._splitter = _Splitter(b"\n", cap)

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Read more bytes.

        Raises `FrameTooLong`, after the lines before the one that is too long.
        """
        for line in self._splitter.feed(data) if data else ():
            if line := line.strip():
                yield b"", line
        if self._splitter.overflown:
            raise FrameTooLong(self._cap)

    def close(self) -> Iterator[tuple[bytes, bytes]]:
        """Take the end of the stream, and give a last line that lacks its end."""
        if rest := self._splitter.rest().strip():
            yield b"", rest
