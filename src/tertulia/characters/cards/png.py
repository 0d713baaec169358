"""PNG and APNG as containers (https://www.w3.org/TR/png-3): chunks are walked and copied, pixels never decoded."""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final

from tertulia.characters.cards.errors import CardError
from tertulia.characters.cards.inflate import inflate
from tertulia.characters.cards.limits import MAX_CHUNKS, MAX_INFLATED_TEXT
from tertulia.characters.cards.remarks import Remarks

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
ASSET_KEYWORD: Final = "chara-ext-asset_"
CARD_KEYWORDS: Final = ("ccv3", "chara")
_HEAD = Struct(">I4s")
_CRC = Struct(">I")
_TEXT_KINDS = (b"tEXt", b"zTXt", b"iTXt")
_MAX_KEYWORD = 79


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk: its kind, its body, and where all of it lies in the file."""

    kind: bytes
    body: memoryview
    start: int
    end: int

    @property
    def keyword(self) -> str:
        """The keyword of a text chunk in lower case, else ""."""
        if self.kind not in _TEXT_KINDS:
            return ""
        head, separator, _ = bytes(self.body[: _MAX_KEYWORD + 1]).partition(b"\0")
        return head.decode("latin-1").strip().lower() if separator else ""


def walk(file: memoryview, remarks: Remarks) -> list[Chunk]:
    """Return the chunks up to and with IEND; what is damaged is noted, and ends the walk if nothing can follow it.

    Raises CardError `too_many`.
    """
    chunks: list[Chunk] = []
    position = len(SIGNATURE)
    while not chunks or chunks[-1].kind != b"IEND":
        chunk = _chunk_at(file, position)
        if chunk is None:
            remarks.add("truncated", "The PNG is cut off or damaged behind its last whole chunk.")
            break
        if zlib.crc32(file[chunk.start + 4 : chunk.end - 4]) != _CRC.unpack_from(file, chunk.end - 4)[0]:
            remarks.add(
                "bad_crc", f"bad crc in the PNG's chunk {chunk.kind.decode()}; its data was taken all the same."
            )
        if len(chunks) >= MAX_CHUNKS:
            raise CardError("too_many", f"The PNG has more than {MAX_CHUNKS} chunks; it is not read.")
        chunks.append(chunk)
        position = chunk.end
    return chunks


def _chunk_at(file: memoryview, start: int) -> Chunk | None:
    if start + 12 > len(file):
        return None
    length, kind = _HEAD.unpack_from(file, start)
    end = start + 12 + length
    if end > len(file) or not kind.isalpha():
        return None
    return Chunk(kind, file[start + 8 : end - 4], start, end)


def is_animated(chunks: Iterable[Chunk]) -> bool:
    """Whether the file is an APNG."""
    return any(chunk.kind == b"acTL" for chunk in chunks)


def text_chunks(chunks: Iterable[Chunk]) -> dict[str, Chunk]:
    """Return the text chunks by keyword in lower case; of each keyword the first one counts."""
    found: dict[str, Chunk] = {}
    for chunk in chunks:
        if keyword := chunk.keyword:
            found.setdefault(keyword, chunk)
    return found


def text_of(chunk: Chunk, remarks: Remarks) -> bytes:
    """Return the text of a tEXt, zTXt or iTXt chunk, inflated within its bound.

    Raises CardError as `inflate`, and `undecodable` for a chunk that breaks the format.
    """
    _, _, rest = bytes(chunk.body).partition(b"\0")
    if chunk.kind == b"tEXt":
        return rest
    if chunk.kind == b"zTXt":
        return _inflated(chunk, rest[1:], method=rest[:1], remarks=remarks)
    remarks.add("itxt_chunk", f"The card is in an iTXt chunk ({chunk.keyword}); only tEXt is legal for it.")
    flags, fields = rest[:2], rest[2:].split(b"\0", 2)
    if len(flags) < 2 or len(fields) < 3:
        raise CardError("undecodable", f"The iTXt chunk {chunk.keyword} is damaged.")
    return _inflated(chunk, fields[2], method=flags[1:], remarks=remarks) if flags[0] else fields[2]


def _inflated(chunk: Chunk, data: bytes, *, method: bytes, remarks: Remarks) -> bytes:
    if method != b"\0":
        raise CardError("undecodable", f"The chunk {chunk.keyword} is compressed by an unknown method.")
    remarks.add("compressed_text", f"The card is in a compressed text chunk ({chunk.keyword}); only tEXt is legal.")
    return inflate(memoryview(data), cap=MAX_INFLATED_TEXT)


def write(image: memoryview, texts: Sequence[tuple[str, bytes]], *, drop_assets: bool = False) -> bytes:
    """Return the picture with these tEXt chunks just before IEND, in place of the card chunks that it had.

    Every other chunk is copied as it is. `drop_assets` takes out the files that an earlier card had brought.
    """
    chunks = walk(image, Remarks())
    kept = [chunk for chunk in chunks if chunk.kind != b"IEND" and not _is_ours(chunk, drop_assets=drop_assets)]
    pieces: list[bytes | memoryview] = [SIGNATURE, *(image[chunk.start : chunk.end] for chunk in kept)]
    pieces += [_packed(b"tEXt", keyword.encode("latin-1") + b"\0" + text) for keyword, text in texts]
    last = chunks[-1] if chunks else None
    pieces.append(image[last.start :] if last is not None and last.kind == b"IEND" else _packed(b"IEND", b""))
    return b"".join(pieces)


def _is_ours(chunk: Chunk, *, drop_assets: bool) -> bool:
    keyword = chunk.keyword
    return keyword in CARD_KEYWORDS or (drop_assets and keyword.startswith(ASSET_KEYWORD))


def _packed(kind: bytes, body: bytes) -> bytes:
    return b"".join((_HEAD.pack(len(body), kind), body, _CRC.pack(zlib.crc32(kind + body))))


def plain_picture(width: int = 400, height: int = 600) -> bytes:
    """Return a grey picture, for a card that has none."""
    header = Struct(">IIBBBBB").pack(width, height, 8, 0, 0, 0, 0)  # eight bits a pixel, grey
    rows = (b"\0" + b"\x80" * width) * height
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return SIGNATURE + b"".join(_packed(kind, body) for kind, body in chunks)
