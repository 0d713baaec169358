"""Processes that the bench starts, and ends again whatever happens."""

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

_GRACE_S: Final = 10.0


class StartError(Exception):
    """A process did not come up; the message ends with what it wrote last."""


class Child:
    """A started process, in a process group of its own, its output in a file."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.log = log
        self.began = time.perf_counter()
        self._process = process

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def running(self) -> bool:
        """Say whether the process still lives."""
        return self._process.poll() is None

    def last_words(self) -> str:
        """Return the end of what the process wrote."""
        return self.log.read_text(errors="replace")[-2000:].strip() or "(it wrote nothing)"

    def stop(self) -> None:
        """End the process: a request first, force after ten seconds; then whatever is left of its group."""
        if self.running():
            self._process.terminate()
            try:
                self._process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                print(f"{self.name} did not end within {_GRACE_S:.0f} s of being asked to: killed", flush=True)
                self._process.kill()
                self._process.wait()
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # nothing was left


def start(
    stack: ExitStack, name: str, argv: Sequence[str], *, log: Path, env: Mapping[str, str], cores: Collection[int]
) -> Child:
    """Start a process on the given cores; it ends with `stack` at the latest."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=dict(env), start_new_session=True
        )
    child = Child(name, process, log)
    stack.callback(child.stop)
    os.sched_setaffinity(child.pid, cores)
    return child


def environment(**more: str) -> dict[str, str]:
    """Return a lean environment: no key or setting of the caller's reaches what is measured."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "SSL_CERT_FILE")
    return {name: os.environ[name] for name in kept if name in os.environ} | more


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_ready(child: Child, port: int, path: str, *, within_s: float) -> float:
    """Wait until `path` answers 200, or without a path until the port is open; return the seconds since the start.

    Raises `StartError` when the process ends or the time is over.
    """
    while not (_answers(port, path) if path else _listens(port)):
        if not child.running():
            raise StartError(f"{child.name} ended while starting. Its last words:\n{child.last_words()}")
        if time.perf_counter() - child.began > within_s:
            raise StartError(f"{child.name} was not ready within {within_s:.0f} s. It wrote:\n{child.last_words()}")
        time.sleep(0.005)
    return time.perf_counter() - child.began


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(port: int, path: str) -> bool:
    if not _listens(port):
        return False
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False  # it may listen before it can answer
    finally:
        connection.close()
