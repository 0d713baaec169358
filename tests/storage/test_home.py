"""The home and its lock."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tertulia.storage.home import HomeLock, HomeTaken, HomeUnusable, make_home
from tests.storage.processes import child


def test_a_home_is_made_for_its_owner_alone(tmp_path: Path):
    home = make_home(tmp_path / "a" / "home")
    assert home.is_dir()
    assert home.stat().st_mode & 0o777 == 0o700
    assert list(home.iterdir()) == []
    assert make_home(home) == home


def test_a_home_that_was_there_keeps_its_mode(tmp_path: Path):
    tmp_path.chmod(0o750)
    assert make_home(tmp_path) == tmp_path
    assert tmp_path.stat().st_mode & 0o777 == 0o750


def test_a_home_that_cannot_be_is_told_with_its_path(tmp_path: Path):
    (tmp_path / "file").touch()
    for bad in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/home")):
        with pytest.raises(HomeUnusable, match="--home") as caught:
            make_home(bad)
        assert str(bad) in str(caught.value)


def test_one_home_has_one_server(tmp_path: Path):
    with HomeLock(tmp_path) as lock:
        lock.acquire()  # again is nothing
        with pytest.raises(HomeTaken, match=str(tmp_path)):
            HomeLock(tmp_path).acquire()
    with HomeLock(tmp_path):
        pass


def test_a_killed_server_gives_its_home_back(tmp_path: Path):
    with child("lock", str(tmp_path)) as other:
        assert other.line() == "locked"
        with pytest.raises(HomeTaken) as caught:
            HomeLock(tmp_path).acquire()
        assert f"process {other.process.pid}" in str(caught.value)
        assert "\n" not in str(caught.value)
        other.process.send_signal(signal.SIGKILL)
        other.process.wait()
        with HomeLock(tmp_path):
            pass


def test_a_program_that_the_server_started_does_not_hold_its_home(tmp_path: Path):
    lock = HomeLock(tmp_path)
    lock.acquire()
    waiting = "import sys; print('up', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", waiting], stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"up\n"
        lock.release()
        with HomeLock(tmp_path):
            pass
        other.communicate()


def test_a_home_whose_lock_cannot_be_opened_is_told(tmp_path: Path):
    (tmp_path / "lock").mkdir()
    with pytest.raises(HomeUnusable):
        HomeLock(tmp_path).acquire()
