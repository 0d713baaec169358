"""The sample files, and builders of others: pictures, archives and Exif blocks made from their formats' texts."""

import json
import zipfile
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from struct import pack
from typing import Any

DATA = Path(__file__).parent / "data"
MANIFEST: dict[str, dict[str, Any]] = json.loads((DATA / "MANIFEST.json").read_text())
REFUSED = {"reject", "reject_or_accept_without_evil_members"}
CARDS = sorted(name for name, entry in MANIFEST.items() if entry["expect"]["outcome"] in {"accept", "ask"})
LOREBOOKS = sorted(name for name, entry in MANIFEST.items() if entry["expect"]["outcome"] == "lorebook")
ALL = sorted(MANIFEST)
V2_TEXTS = [
    "name",
    "description",
    "personality",
    "scenario",
    "first_mes",
    "mes_example",
    "creator_notes",
    "system_prompt",
    "post_history_instructions",
    "creator",
    "character_version",
]


def sample(name: str) -> bytes:
    return (DATA / name).read_bytes()


def expectation(name: str) -> dict[str, Any]:
    return MANIFEST[name]["expect"]


def chunk(kind: bytes, body: bytes) -> bytes:
    return pack(">I", len(body)) + kind + body + pack(">I", zlib.crc32(kind + body))


HEADER = chunk(b"IHDR", pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
PIXELS = chunk(b"IDAT", zlib.compress(b"\0\0"))
END = chunk(b"IEND", b"")


def png(*chunks: bytes, end: bytes = END) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + HEADER + PIXELS + b"".join(chunks) + end


def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Read a PNG strictly: a wrong checksum or length fails the test."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    found: list[tuple[bytes, bytes]] = []
    position = 8
    while position < len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        body = data[position + 8 : position + 8 + size]
        assert zlib.crc32(kind + body) == int.from_bytes(data[position + 8 + size : position + 12 + size], "big")
        found.append((kind, body))
        position += 12 + size
    assert found[-1][0] == b"IEND"
    return found


def png_texts(data: bytes) -> dict[str, bytes]:
    texts = [body.partition(b"\0") for kind, body in png_chunks(data) if kind == b"tEXt"]
    return {keyword.decode("latin-1"): text for keyword, _, text in texts}


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, compress_type=method)
    return out.getvalue()


def unzipped(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def exif(comment: bytes, order: str = "<") -> bytes:
    """Make an Exif block with one UserComment, in either byte order."""
    magic = b"II*\0" if order == "<" else b"MM\0*"
    first = pack(order + "HHHIII", 1, 0x8769, 4, 1, 26, 0)
    second = pack(order + "HHHIII", 1, 0x9286, 7, len(comment), 44, 0)
    return magic + pack(order + "I", 8) + first + second + comment


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(kind + pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for kind, data in chunks)
    return b"RIFF" + pack("<I", len(body) + 4) + b"WEBP" + body


VP8L = (b"VP8L", bytes.fromhex("2f00000010071011118888fe0700"))
VP8 = (b"VP8 ", bytes.fromhex("3001009d012a") + pack("<HH", 7, 5) + b"\0" * 8)


def webp(comment: bytes, order: str = "<") -> bytes:
    return riff((b"VP8X", bytes([8, 0, 0, 0, 0, 0, 0, 0, 0, 0])), VP8L, (b"EXIF", exif(comment, order)))


def jpeg(comment: bytes) -> bytes:
    block = b"Exif\0\0" + exif(comment, ">")
    segment = b"\xff\xe1" + pack(">H", len(block) + 2) + block
    return b"\xff\xd8\xff\xe0\x00\x04ab" + segment + b"\xff\xda\x00\x02\x00\xff\xd9"


def v2(**data: Any) -> dict[str, Any]:
    """Make a V2 card with every mandatory field."""
    base: dict[str, Any] = {name: f"the {name}" for name in V2_TEXTS}
    base |= {"alternate_greetings": ["one", "two"], "tags": ["t"], "extensions": {"app/x": [1, {"y": None}]}}
    return {"spec": "chara_card_v2", "spec_version": "2.0", "data": base | data}


def v3(**data: Any) -> dict[str, Any]:
    """Make a V3 card with every mandatory field and some more."""
    more = {"nickname": "Nick", "group_only_greetings": ["all"], "source": ["id:1"], "future": {"keep": [1.5, True]}}
    return {"spec": "chara_card_v3", "spec_version": "3.0", "data": v2()["data"] | more | data}


def as_bytes(tree: Any) -> bytes:
    return json.dumps(tree, ensure_ascii=False).encode()
