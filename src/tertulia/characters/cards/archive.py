"""Zip archives that strangers made (APPNOTE 6.3.10): the directory is checked whole before a member is read.

The standard library's reader takes what it is given; this one refuses what an honest card never has (paths that leave
the archive, links, encryption, a name twice, members that overlap or lie about their size) and keeps every member's
record as it is, so that an archive can be written again with one member changed.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct, error
from typing import Final

from tertulia.characters.cards.errors import CardError, CardTooLargeError
from tertulia.characters.cards.inflate import inflate_parts
from tertulia.characters.cards.limits import (
    MAX_ARCHIVE_INFLATED,
    MAX_MEMBER_BYTES,
    MAX_MEMBERS,
    MAX_RATIO,
    RATIO_FREE_BYTES,
)

STORED, DEFLATED = 0, 8
END_SIGNATURE: Final = b"PK\x05\x06"
DIRECTORY_ENTRY: Final = Struct("<4s6H3I5H2I")
LOCAL_HEADER: Final = Struct("<4s5H3I2H")
END_RECORD: Final = Struct("<4s4H2IH")
_END64_LOCATOR: Final = Struct("<4sIQI")
_END64: Final = Struct("<4sQ2H2I4Q")
_FULL32, _FULL16 = 0xFFFFFFFF, 0xFFFF
_ENCRYPTED, _UTF8 = 0x2041, 0x0800
_SYMLINK: Final = 0o120000
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MAX_NAME: Final = 1024
_SEARCHED: Final = END_RECORD.size + 0xFFFF


@dataclass(frozen=True, slots=True)
class Member:
    """A member as the directory describes it; `start` is its local header, `record` its directory entry."""

    name: str
    method: int
    crc: int
    packed_size: int
    size: int
    start: int
    body: int
    record: memoryview

    @property
    def is_folder(self) -> bool:
        """Whether the member is a directory."""
        return self.name.endswith("/")


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive whose directory was found honest, by normalised name in the directory's order."""

    file: memoryview
    members: dict[str, Member]
    directory: int  # where the members' records end

    def read(self, name: str, *, cap: int = MAX_MEMBER_BYTES) -> bytes:
        """Return a member's content.

        Raises KeyError for an unknown name; CardTooLargeError over `cap`; CardError for damage: `lying_size`,
        `undecodable`, `truncated`, `ratio`.
        """
        member = self.members[name]
        if member.size > cap:
            raise CardTooLargeError("size", f"The archive's member {name[:100]} is over {cap} bytes; it is not read.")
        return b"".join(self._parts(member))

    def is_intact(self, name: str) -> bool:
        """Whether a member's checksum is right. Raises CardError as `read`, keeping nothing in memory."""
        member = self.members[name]
        crc = 0
        for part in self._parts(member):
            crc = zlib.crc32(part, crc)
        return crc == member.crc

    def _parts(self, member: Member) -> Iterator[bytes | memoryview]:
        packed = self.file[member.body : member.body + member.packed_size]
        if member.method == STORED:
            if member.packed_size != member.size:
                _refuse_size(member)
            yield packed
        elif member.method == DEFLATED:
            yield from self._inflated(member, packed)
        else:
            raise CardError("undecodable", f"The archive's member {member.name[:100]} is packed by an unknown method.")

    def _inflated(self, member: Member, packed: memoryview) -> Iterator[bytes]:
        size = 0
        for part in inflate_parts(packed, cap=MAX_MEMBER_BYTES, raw=True):
            size += len(part)
            if size > member.size:
                _refuse_size(member)
            yield part
        if size != member.size:
            _refuse_size(member)


def _refuse_size(member: Member) -> None:
    raise CardError("lying_size", f"The archive's member {member.name[:100]} is not of the size that it claims.")


def find_end(file: memoryview) -> int | None:
    """Return where the end-of-directory record of an archive is, or None if the file holds none."""
    tail = bytes(file[max(0, len(file) - _SEARCHED) :])
    place = tail.rfind(END_SIGNATURE)
    while place >= 0 and place + END_RECORD.size > len(tail):
        place = tail.rfind(END_SIGNATURE, 0, place)
    return len(file) - len(tail) + place if place >= 0 else None


def open_archive(file: memoryview) -> Archive:
    """Read and check the directory of an archive; bytes before it (a picture) are allowed.

    Raises CardTooLargeError, and CardError: `undecodable`, `too_many`, `unsafe_member`, `encrypted`, `ratio`,
    `lying_size`.
    """
    end = find_end(file)
    if end is None:
        raise CardError("truncated", "The archive has no directory; the file is cut off or no zip.")
    try:
        start, stop, shift = _directory_span(file, end)
        members = list(_members(file, start, stop, shift))
    except (error, OverflowError):
        raise CardError("undecodable", "The archive's directory is damaged; get the file again.") from None
    _check_overlap(members, start)
    _check_sizes(members)
    by_name: dict[str, Member] = {}
    for member in members:
        if by_name.setdefault(member.name, member) is not member:
            raise CardError("unsafe_member", "The archive has a member twice; it is not read.")
    return Archive(file, by_name, start)


def _directory_span(file: memoryview, end: int) -> tuple[int, int, int]:
    """Return where the directory starts and stops, and by how much its offsets are off (a prefix)."""
    _, _, _, _, count, size, offset, _ = END_RECORD.unpack_from(file, end)
    stop = end
    if count == _FULL16 or _FULL32 in (size, offset):
        locator = end - _END64_LOCATOR.size
        if locator >= 0 and bytes(file[locator : locator + 4]) == b"PK\x06\x07":
            stop = locator - _END64.size
            signature, _, _, _, _, _, _, _, size, offset = _END64.unpack_from(file, max(0, stop))
            if signature != b"PK\x06\x06":
                raise error
    start = stop - size
    if start < 0 or offset > start:
        raise error
    return start, stop, start - offset


def _members(file: memoryview, start: int, stop: int, shift: int) -> Iterator[Member]:
    for _ in range(MAX_MEMBERS + 1):
        if start >= stop:
            return
        fields = DIRECTORY_ENTRY.unpack_from(file, start)
        name_size, extra_size, comment_size = fields[10:13]
        end = start + DIRECTORY_ENTRY.size + name_size + extra_size + comment_size
        if fields[0] != b"PK\x01\x02" or end > stop:
            raise error
        yield _member(file, file[start:end], shift)
        start = end
    raise CardError("too_many", f"The archive has more than {MAX_MEMBERS} members; it is not read.")


def _member(file: memoryview, record: memoryview, shift: int) -> Member:
    fields = DIRECTORY_ENTRY.unpack_from(record)
    flags, method, crc, packed_size, size = fields[3], fields[4], *fields[7:10]
    name_end = DIRECTORY_ENTRY.size + fields[10]
    raw_name = bytes(record[DIRECTORY_ENTRY.size : name_end])
    size, packed_size, offset = _wide(record[name_end : name_end + fields[11]], size, packed_size, fields[16])
    if flags & _ENCRYPTED:
        raise CardError("encrypted", "The archive is encrypted; export it without a password.")
    if fields[15] >> 16 & 0o170000 == _SYMLINK:
        raise CardError("unsafe_member", "The archive has a symbolic link in it; it is not read.")
    start = offset + shift
    local = LOCAL_HEADER.unpack_from(file, start)
    if local[0] != b"PK\x03\x04" or bytes(file[start + 30 : start + 30 + local[9]]) != raw_name:
        raise CardError("lying_size", "The archive's directory and its members do not agree; it is not read.")
    body = start + LOCAL_HEADER.size + local[9] + local[10]
    return Member(_safe_name(raw_name, flags), method, crc, packed_size, size, start, body, record)


def _wide(extra: memoryview, *sizes: int) -> tuple[int, int, int]:
    """Return size, packed size and offset, from the Zip64 field where their own place is full."""
    values = list(sizes)
    position = 0
    while position + 4 <= len(extra) and _FULL32 in values:
        kind, length = Struct("<HH").unpack_from(extra, position)
        if kind == 1:
            wide = iter(Struct(f"<{length // 8}Q").unpack_from(extra, position + 4))
            values = [next(wide, value) if value == _FULL32 else value for value in values]
            break
        position += 4 + length
    return values[0], values[1], values[2]


def _safe_name(raw: bytes, flags: int) -> str:
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        name = raw.decode("utf-8" if flags & _UTF8 else "cp437", errors="replace")
    parts = name.split("/")
    broken = not 0 < len(raw) <= _MAX_NAME or _CONTROL.search(name) or "\\" in name or name.startswith("/")
    if broken or ".." in parts or _DRIVE.match(name):
        raise CardError("unsafe_member", "The archive has a member with an unsafe path; it is not read.")
    return normalised(name) + ("/" if name.endswith("/") else "")


def normalised(path: str) -> str:
    """Return a path within an archive without empty and `.` steps."""
    return "/".join(step for step in path.split("/") if step not in ("", "."))


def _check_overlap(members: list[Member], directory: int) -> None:
    starts = sorted(members, key=lambda member: member.start)
    limits = (*(member.start for member in starts[1:]), directory)
    if any(member.body + member.packed_size > limit for member, limit in zip(starts, limits, strict=False)):
        raise CardError("lying_size", "The archive's members overlap; it is not read.")


def _check_sizes(members: list[Member]) -> None:
    if sum(member.size for member in members) > MAX_ARCHIVE_INFLATED:
        raise CardTooLargeError("size", f"The archive unpacks to over {MAX_ARCHIVE_INFLATED // 2**20} MiB; too large.")
    for member in members:
        if member.size > MAX_MEMBER_BYTES:
            raise CardTooLargeError("size", f"The archive has a member of over {MAX_MEMBER_BYTES // 2**20} MiB.")
        if member.size > RATIO_FREE_BYTES and member.size > MAX_RATIO * member.packed_size:
            raise CardError("ratio", f"The archive is compressed more than {MAX_RATIO}:1, as no card is; not read.")
