"""Blobs on disk."""

import asyncio
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tertulia.storage.blobs import BlobDamaged, BlobMissing, Blobs
from tertulia.storage.writer import StorageUnavailable


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3_000_000])
async def test_content_comes_back_by_its_digest(blobs: Blobs, size: int):
    data = os.urandom(size)
    digest = await blobs.write(data)
    assert digest == hashlib.sha256(data).digest()
    assert await blobs.read(digest) == data
    assert await blobs.size(digest) == size


async def test_files_are_named_by_digest_and_belong_to_their_owner(blobs: Blobs, tmp_path: Path):
    digest = await blobs.write(b"abc")
    (file,) = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    name = hashlib.sha256(b"abc").hexdigest()
    assert file == tmp_path / "blobs" / name[:2] / name[2:] == blobs.path(digest)
    assert file.stat().st_mode & 0o777 == 0o600


async def test_the_same_content_lies_there_once(blobs: Blobs, tmp_path: Path):
    assert await blobs.write(b"abc") == await blobs.write(b"abc")
    assert len([path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]) == 1


async def test_what_is_gone_is_missing(blobs: Blobs):
    digest = await blobs.write(b"abc")
    assert await blobs.delete(digest)
    assert await blobs.delete(digest)
    for ask in (blobs.read, blobs.size):
        with pytest.raises(BlobMissing):
            await ask(digest)


async def test_what_was_used_lately_is_spared(blobs: Blobs):
    digest = await blobs.write(b"abc")
    os.utime(blobs.path(digest), (1, 1))
    await blobs.write(b"abc")  # used again: somebody may be about to count it
    assert not await blobs.delete(digest, unused_for=3600)
    os.utime(blobs.path(digest), (1, 1))
    assert await blobs.delete(digest, unused_for=3600)


async def test_a_changed_file_is_damaged_and_a_cut_one_is_mended(blobs: Blobs):
    digest = await blobs.write(b"abc")
    blobs.path(digest).write_bytes(b"abX")
    with pytest.raises(BlobDamaged):
        await blobs.read(digest)
    blobs.path(digest).write_bytes(b"ab")
    await blobs.write(b"abc")
    assert await blobs.read(digest) == b"abc"


async def test_half_written_files_are_swept_away_later(blobs: Blobs):
    digest = await blobs.write(b"abc")
    left = blobs.path(digest).parent / ".new-left"
    left.write_bytes(b"half")
    assert blobs.sweep() == 0
    assert blobs.sweep(older_than=-1) == 1
    assert not left.exists()
    assert await blobs.read(digest) == b"abc"


async def test_a_write_that_fails_leaves_nothing(blobs: Blobs, tmp_path: Path, monkeypatch):
    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(StorageUnavailable, match="No space"):
        await blobs.write(b"abc")
    monkeypatch.undo()
    assert not [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    assert await blobs.read(await blobs.write(b"abc")) == b"abc"


async def test_a_digest_is_thirty_two_bytes(blobs: Blobs):
    for bad in (b"", b"../../etc/passwd", b"x" * 64):
        with pytest.raises(ValueError, match="32 bytes"):
            await blobs.read(bad)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["write", "delete"]), st.integers(0, 3)), max_size=12))
def test_any_order_of_writes_and_deletes(tmp_path_factory: pytest.TempPathFactory, steps):
    async def play() -> None:
        blobs = Blobs(tmp_path_factory.mktemp("blobs"))
        kept: set[bytes] = set()
        for act, n in steps:
            data = bytes([n])
            digest = hashlib.sha256(data).digest()
            if act == "write":
                await blobs.write(data)
                kept.add(digest)
            else:
                await blobs.delete(digest)
                kept.discard(digest)
        for n in range(4):
            digest = hashlib.sha256(bytes([n])).digest()
            if digest in kept:
                assert await blobs.read(digest) == bytes([n])
            else:
                with pytest.raises(BlobMissing):
                    await blobs.read(digest)

    asyncio.run(play())
