"""The home: the folder that holds database, blobs and keys, and the lock that says whose it is."""

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tertulia.kernel.errors import Kind, TertuliaError

if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        # Far beyond the content: a locked byte cannot be read by others there.
        os.lseek(file, 1 << 20, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


_MODE: Final = 0o700


class HomeUnusable(TertuliaError):
    """The home cannot be made or written."""

    kind = Kind.UNAVAILABLE
    code = "home_unusable"


class HomeTaken(TertuliaError):
    """Another server runs on this home."""

    kind = Kind.CONFLICT
    code = "home_taken"


def make_home(path: Path) -> Path:
    """Make the folder where it is not there, for its owner alone, and see that it can be written.

    Gives its absolute path. The mode of a folder that was there is left as it is. Raises `HomeUnusable`.
    """
    home = path.expanduser().absolute()
    try:
        home.mkdir(mode=_MODE, parents=True, exist_ok=True)
        probe = home / f".probe-{os.getpid()}"
        probe.touch(mode=0o600)
        probe.unlink()
    except OSError as error:
        raise HomeUnusable(f"The home {home} cannot be used: {error.strerror}. Choose another by --home.") from error
    return home


class HomeLock:
    """The lock of a serving process; the system takes it back when the process ends, in whatever way.

    Whoever holds it knows that no other server is alive on this home. As a context manager, or by `acquire` and
    `release`.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / "lock"
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock at once; raises `HomeTaken`, `HomeUnusable`."""
        if self._file is not None:
            return
        try:
            # Not inherited by programs that this one starts, which would hold it beyond our end.
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise HomeUnusable(f"The lock {self._path} cannot be opened: {error.strerror}.") from error
        try:
            _lock(file)
        except OSError as error:
            holder = _holder(file)
            os.close(file)
            raise HomeTaken(f"Another server{holder} runs on the home {self._path.parent}.") from error
        os.ftruncate(file, 0)
        os.pwrite(file, b"%d\n" % os.getpid(), 0)
        self._file = file

    def release(self) -> None:
        """Give the lock back. The file stays: to remove it would let two servers lock two files of one name."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def _holder(file: int) -> str:
    os.lseek(file, 0, os.SEEK_SET)
    number = os.read(file, 20).decode(errors="replace").strip()
    return f" (process {number})" if number.isdecimal() else ""
