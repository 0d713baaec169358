"""Deflate with a bound that holds whatever the data claims."""

import zlib
from collections.abc import Callable, Iterator

from tertulia.characters.cards.errors import CardError, CardTooLargeError
from tertulia.characters.cards.limits import KIB, MAX_RATIO, RATIO_FREE_BYTES

_IN = 64 * KIB
_OUT = 256 * KIB


def inflate(data: memoryview, *, cap: int, raw: bool = False) -> bytes:
    """Return the inflated data.

    Raises CardTooLargeError when it passes `cap`, CardError `ratio` when it grows as only bombs do, `truncated` and
    `undecodable` for damage; none of it before the memory is bounded.
    """
    return b"".join(inflate_parts(data, cap=cap, raw=raw))


def inflate_parts(data: memoryview, *, cap: int, raw: bool = False) -> Iterator[bytes]:
    """Yield the inflated data in parts of at most 256 KiB. Raises as `inflate`."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS if raw else zlib.MAX_WBITS)
    limit = min(cap, max(RATIO_FREE_BYTES, MAX_RATIO * len(data)))
    size = 0
    for start in range(0, len(data), _IN):
        pending: bytes | memoryview = data[start : start + _IN]
        while pending and not stream.eof:
            part = _step(stream.decompress, pending)
            size += len(part)
            if size > limit:
                _refuse(limit, cap)
            yield part
            pending = stream.unconsumed_tail
    while not stream.eof:  # what the last input still held back
        part = _step(stream.decompress, b"")
        if not part:
            raise CardError("truncated", "Compressed data ends too early; the file is cut off or damaged.")
        size += len(part)
        if size > limit:
            _refuse(limit, cap)
        yield part


def _step(decompress: Callable[[bytes | memoryview, int], bytes], data: bytes | memoryview) -> bytes:
    try:
        return decompress(data, _OUT)
    except zlib.error:
        raise CardError("undecodable", "Compressed data is damaged; get the file again.") from None


def _refuse(limit: int, cap: int) -> None:
    if limit < cap:
        raise CardError("ratio", f"Data is compressed more than {MAX_RATIO}:1, as no card is; it is not read.")
    raise CardTooLargeError("size", f"Compressed data inflates to over {cap} bytes; it is not read (inflate limit).")
