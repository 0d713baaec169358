"""Blobs: files named by the SHA-256 of what is in them, so that the same content lies on disk once.

Whether one is still wanted is counted in the database; this only keeps files.
"""

import asyncio
import hashlib
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tertulia.kernel.errors import Kind, TertuliaError
from tertulia.storage.writer import StorageUnavailable

_SMALL: Final = 64 << 10
_DIGEST_BYTES: Final = 32


class BlobMissing(TertuliaError):
    """No blob has this digest."""

    kind = Kind.NOT_FOUND
    code = "blob_missing"


class BlobDamaged(TertuliaError):
    """The file is not what its name says: the disk, or somebody, changed it."""

    kind = Kind.INTERNAL
    code = "blob_damaged"


class Blobs:
    """The folder of blobs: `aa/bb…`, the digest in hexadecimal cut after its first byte.

    A digest is 32 bytes. What the disk refuses is `StorageUnavailable`.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    async def write(self, data: bytes) -> bytes:
        """Keep content, synced to disk, and give its digest. What is there already is marked as used now."""
        return await asyncio.to_thread(self._write, data)  # however small, syncing takes milliseconds

    async def read(self, digest: bytes) -> bytes:
        """Give the content; raises `BlobMissing`, `BlobDamaged`."""
        size = await self.size(digest)
        if size <= _SMALL:
            return self._read(digest)
        return await asyncio.to_thread(self._read, digest)

    async def size(self, digest: bytes) -> int:
        """Give the length in bytes; raises `BlobMissing`."""
        path = self.path(digest)
        try:
            return path.stat().st_size
        except OSError as error:
            raise _fault(error, digest) from error

    async def delete(self, digest: bytes, *, unused_for: float = 0.0) -> bool:
        """Remove it unless it was written, or written again, in the last `unused_for` seconds; tells if it is gone.

        A caller that counts references leaves time for an upload that found the file and has not been counted yet.
        """
        return await asyncio.to_thread(self._delete, digest, unused_for)

    def path(self, digest: bytes) -> Path:
        """Where the content lies, for whoever streams it."""
        if len(digest) != _DIGEST_BYTES:
            raise ValueError("A digest of a blob has 32 bytes")
        name = digest.hex()
        return self._root / name[:2] / name[2:]

    def sweep(self, *, older_than: float = 3600.0) -> int:
        """Remove what a killed process left half-written; gives how many files. Blocks."""
        latest = time.time() - older_than
        removed = 0
        for path in self._root.glob("*/.new-*"):
            if path.stat().st_mtime < latest:
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def _write(self, data: bytes) -> bytes:
        digest = hashlib.sha256(data).digest()
        path = self.path(digest)
        try:
            if not self._use_again(path, len(data)):
                self._place(path, data)
        except OSError as error:
            raise _fault(error, digest) from error
        return digest

    def _use_again(self, path: Path, size: int) -> bool:
        try:
            os.utime(path)
            return path.stat().st_size == size
        except FileNotFoundError:
            return False

    def _place(self, path: Path, data: bytes) -> None:
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync_folder(self._root)
        file, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        new = Path(name)
        try:
            with os.fdopen(file, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            new.replace(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)

    def _read(self, digest: bytes) -> bytes:
        try:
            data = self.path(digest).read_bytes()
        except OSError as error:
            raise _fault(error, digest) from error
        if hashlib.sha256(data).digest() != digest:
            raise BlobDamaged(f"The blob {digest.hex()} is damaged on disk: restore it from a backup.")
        return data

    def _delete(self, digest: bytes, unused_for: float) -> bool:
        path = self.path(digest)
        try:
            if path.stat().st_mtime > time.time() - unused_for:
                return False
            path.unlink()
        except FileNotFoundError:
            return True
        except OSError as error:
            raise _fault(error, digest) from error
        return True


def _fault(error: OSError, digest: bytes) -> TertuliaError:
    if isinstance(error, FileNotFoundError):
        return BlobMissing(f"There is no blob {digest.hex()}.")
    return StorageUnavailable(f"The folder of blobs cannot be used now: {error.strerror}.")


def _sync_folder(folder: Path) -> None:
    """Make a rename outlive the power cut; Windows has no such call and needs none."""
    if sys.platform == "win32":
        return
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
