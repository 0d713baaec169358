"""Writes zip archives: a new one, or an old one with one member changed and every other byte of it kept."""

import zlib
from collections.abc import Mapping

from tertulia.characters.cards.archive import (
    DEFLATED,
    DIRECTORY_ENTRY,
    END_RECORD,
    END_SIGNATURE,
    LOCAL_HEADER,
    STORED,
    Archive,
    Member,
)

_VERSION = 20  # deflate
_UTF8 = 0x0800
_DATE = (1 << 5) | 1  # 1 January 1980: the same card makes the same bytes
_DEFLATE_SUFFIXES = (".json", ".txt", ".md", ".js", ".css", ".html")


def new_archive(members: Mapping[str, bytes]) -> bytes:
    """Return an archive of these members, text deflated, everything else stored."""
    pieces: list[bytes] = []
    records: list[bytes] = []
    position = 0
    for name, content in members.items():
        local, record = _packed(name, content, position)
        pieces.append(local)
        records.append(record)
        position += len(local)
    return _closed(pieces, records, position)


def with_members(archive: Archive, changes: Mapping[str, bytes]) -> bytes:
    """Return the archive with these members replaced or added; all others keep their bytes and their order."""
    in_order = sorted(archive.members.values(), key=lambda member: member.start)
    ends = (*(member.start for member in in_order[1:]), archive.directory)
    prefix = archive.file[: in_order[0].start] if in_order else archive.file[:0]
    pieces: list[bytes | memoryview] = [prefix]
    records: dict[str, bytes] = {}
    position = len(prefix)
    for member, end in zip(in_order, ends, strict=False):
        piece: bytes | memoryview = archive.file[member.start : end]
        record = _moved(member, position)
        if member.name in changes:
            piece, record = _packed(member.name, changes[member.name], position)
        pieces.append(piece)
        records[member.name] = record
        position += len(piece)
    for name in changes.keys() - archive.members.keys():
        piece, records[name] = _packed(name, changes[name], position)
        pieces.append(piece)
        position += len(piece)
    names = [*archive.members, *(name for name in changes if name not in archive.members)]
    return _closed(pieces, [records[name] for name in names], position)


def _moved(member: Member, position: int) -> bytes:
    return bytes(member.record[:42]) + position.to_bytes(4, "little") + bytes(member.record[46:])


def _packed(name: str, content: bytes, position: int) -> tuple[bytes, bytes]:
    raw_name = name.encode()
    method, packed = STORED, content
    if name.endswith(_DEFLATE_SUFFIXES):
        stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        method, packed = DEFLATED, stream.compress(content) + stream.flush()
    common = (_UTF8, method, 0, _DATE, zlib.crc32(content), len(packed), len(content), len(raw_name), 0)
    local = LOCAL_HEADER.pack(b"PK\x03\x04", _VERSION, *common)
    record = DIRECTORY_ENTRY.pack(b"PK\x01\x02", _VERSION, _VERSION, *common, 0, 0, 0, 0, position)
    return local + raw_name + packed, record + raw_name


def _closed(pieces: list[bytes] | list[bytes | memoryview], records: list[bytes], position: int) -> bytes:
    directory = b"".join(records)
    end = END_RECORD.pack(END_SIGNATURE, 0, 0, len(records), len(records), len(directory), position, 0)
    return b"".join((*pieces, directory, end))
