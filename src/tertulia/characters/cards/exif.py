"""The one Exif tag that cards lie in: UserComment (Exif 2.32, 4.6.5), in a TIFF block of either byte order."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct, error
from typing import Final, Literal, NamedTuple

from tertulia.characters.cards.errors import CardError, CardTooLargeError
from tertulia.characters.cards.json_text import parse_json
from tertulia.characters.cards.limits import MIB
from tertulia.characters.cards.payload import parse_payload
from tertulia.characters.cards.remarks import Remarks
from tertulia.characters.cards.tree import Tree

_EXIF_IFD = 0x8769
_USER_COMMENT = 0x9286
_UNDEFINED, _LONG = 7, 4
_PREFIX: Final = b"Exif\0\0"
_BYTE_ORDERS: Final[dict[bytes, Literal["<", ">"]]] = {b"II*\0": "<", b"MM\0*": ">"}
_CODES: Final = (b"ASCII\0\0\0", b"UNICODE\0", b"JIS\0\0\0\0\0", b"\0" * 8)
_BYTE_LIST = re.compile(rb"\s*[0-9]{1,3}\s*(?:,\s*[0-9]{1,3}\s*)++,?\s*")
_HEADER: Final = 8
_MAX_ENTRIES: Final = 1_000
_MAX_LIST_BYTES: Final = 2 * MIB  # a list of bytes costs many times its size to read


@dataclass(frozen=True, slots=True)
class _Entry:
    """A field of an image file directory: its 12 bytes as they are, and what they say."""

    raw: bytes
    tag: int
    kind: int
    count: int
    value: int  # an offset from the start of the block, for all that is looked up here


class _Block(NamedTuple):
    data: memoryview
    order: Literal["<", ">"]

    def directory(self, offset: int) -> list[_Entry]:
        """Return the entries of the directory at `offset`; none if it lies outside."""
        try:
            count = min(_MAX_ENTRIES, *Struct(self.order + "H").unpack_from(self.data, offset))
            entry = Struct(self.order + "HHII")
            places = range(offset + 2, offset + 2 + 12 * count, 12)
            return [_Entry(bytes(self.data[at : at + 12]), *entry.unpack_from(self.data, at)) for at in places]
        except error:
            return []

    def first(self) -> list[_Entry]:
        """Return the entries of the first directory."""
        return self.directory(self.first_offset())

    def first_offset(self) -> int:
        """Return where the first directory is."""
        return int(Struct(self.order + "I").unpack_from(self.data, 4)[0])

    def exif(self) -> list[_Entry]:
        """Return the entries of the Exif directory, if there is one."""
        pointers = [entry.value for entry in self.first() if entry.tag == _EXIF_IFD]
        return self.directory(pointers[0]) if pointers else []


def _block(data: memoryview) -> _Block | None:
    if bytes(data[: len(_PREFIX)]) == _PREFIX:
        data = data[len(_PREFIX) :]
    order = _BYTE_ORDERS.get(bytes(data[:4]))
    return _Block(data, order) if order and len(data) >= _HEADER else None


def user_comments(data: memoryview) -> Iterator[tuple[bytes, Literal["<", ">"]]]:
    """Yield the UserComments of an Exif block (one a directory) with the byte order of the block."""
    block = _block(data)
    if block is None:
        return
    for directory in (block.exif(), block.first()):
        entry = next((entry for entry in directory if entry.tag == _USER_COMMENT), None)
        if entry is not None and entry.count > 4 and entry.value + entry.count <= len(block.data):
            yield bytes(block.data[entry.value : entry.value + entry.count]), block.order


def card_in(data: memoryview, remarks: Remarks) -> Tree | None:
    """Return the card that an Exif block holds, or None: its UserComment may be about anything.

    Raises CardError for what is hostile or encrypted.
    """
    for comment, order in user_comments(data):
        text = _text(comment, order)
        try:
            return _parse(text, remarks)
        except CardError as problem:
            if problem.hostile or problem.reason == "encrypted":
                raise
    return None


def _text(comment: bytes, order: Literal["<", ">"]) -> bytes:
    code = comment[:8] if comment[:8] in _CODES else b""
    text = comment[len(code) :].strip(b"\0 ") if code != b"UNICODE\0" else comment[8:]
    if code != b"UNICODE\0" or b"\0" not in text:
        return text
    encoding = "utf-16-le" if order == "<" else "utf-16-be"
    if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    elif text[:1] == b"\0" or text[1:2] == b"\0":  # ASCII first: the zero tells the order better than the block does
        encoding = "utf-16-be" if text[:1] == b"\0" else "utf-16-le"
    return text.decode(encoding, errors="replace").rstrip("\0 ").encode()


def _parse(text: bytes, remarks: Remarks) -> Tree:
    if _BYTE_LIST.fullmatch(text):
        if len(text) > _MAX_LIST_BYTES:
            raise CardTooLargeError("size", "The card is a list of bytes of over 2 MiB; have it saved in another form.")
        numbers = [int(number) for number in text.split(b",") if number.strip()]
        if max(numbers) > 255:
            raise CardError("undecodable", "The list of bytes in the UserComment has a number over 255.")
        text = bytes(numbers)
    if text.lstrip().startswith(b"{"):
        return parse_json(text, remarks)
    return parse_payload(text, remarks, place="the UserComment")


def with_user_comment(data: memoryview | None, text: bytes) -> bytes:
    """Return a TIFF block with this ASCII UserComment, and all that `data` (an older block) held besides.

    The directories are written anew at the end, where the older ones' values stay at the offsets that they had.
    """
    comment = b"ASCII\0\0\0" + text
    block = _block(data) if data is not None else None
    if block is None:
        block = _Block(memoryview(b"II*\0" + b"\0" * 4), "<")
    head = bytearray(block.data[: _end_of_values(block)])
    head += b"\0" * (len(head) % 2)
    first = [entry.raw for entry in block.first() if entry.tag not in (_EXIF_IFD, _USER_COMMENT)]
    exif = [entry.raw for entry in block.exif() if entry.tag != _USER_COMMENT]
    first_at = len(head)
    exif_at = first_at + _directory_size(len(first) + 1)
    comment_at = exif_at + _directory_size(len(exif) + 1)
    entry = Struct(block.order + "HHII")
    first.append(entry.pack(_EXIF_IFD, _LONG, 1, exif_at))
    exif.append(entry.pack(_USER_COMMENT, _UNDEFINED, len(comment), comment_at))
    Struct(block.order + "I").pack_into(head, 4, first_at)
    return bytes(head) + _directory(first, block.order) + _directory(exif, block.order) + comment


def _end_of_values(block: _Block) -> int:
    """Return where a block's own values end: before what was written here last, lest a file grow with every export."""
    first, exif = block.first(), block.exif()
    first_at = block.first_offset()
    exif_at = first_at + _directory_size(len(first))
    comment_at = exif_at + _directory_size(len(exif))
    pointed = any(entry.tag == _EXIF_IFD and entry.value == exif_at for entry in first)
    comment = next((entry for entry in exif if entry.tag == _USER_COMMENT), None)
    closing = comment is not None and comment.value == comment_at and comment_at + comment.count == len(block.data)
    return first_at if pointed and closing else len(block.data)


def _directory_size(entries: int) -> int:
    return 2 + 12 * entries + 4


def _directory(entries: list[bytes], order: Literal["<", ">"]) -> bytes:
    by_tag = sorted(entries, key=lambda raw: Struct(order + "H").unpack_from(raw)[0])
    return Struct(order + "H").pack(len(entries)) + b"".join(by_tag) + b"\0" * 4
