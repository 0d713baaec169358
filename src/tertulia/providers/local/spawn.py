"""One child process seen from outside: its start, its word that it is ready, its end."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from typing import Final

import msgspec

from tertulia.providers.local.handshake import Launch, Ready, Report

TAIL_BYTES: Final = 8192
LINE_BYTES: Final = 1 << 16

PASSED_ON: Final = re.compile(
    r"PATH|HOME|LANG|LC_.*|TMPDIR|TEMP|TMP|TZ|SYSTEMROOT|PYTHON.*|VIRTUAL_ENV|LD_LIBRARY_PATH|DYLD_.*"
    r"|GGML_.*|CUDA_.*|HIP_.*|HSA_.*|ROCR_.*|VK_.*"
)
ENGINE_ERROR: Final = re.compile(r"^[\d.]+ E (?P<message>.*)$", re.MULTILINE)
ASSERTION: Final = re.compile(r"^(?P<message>\S+\.(?:c|cc|cpp|h|hpp|cu|m):\d+: .*)$", re.MULTILINE)


class ChildEnded(Exception):
    """The child ended, or said that it cannot serve; the message says how, and holds nothing of any prompt."""


class Child:
    """A child process; made by `Child.spawn`."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._tail = b""
        self._reading = asyncio.create_task(self._read_errors(), name="embedded model's errors")

    @classmethod
    async def spawn(cls, launch: Launch) -> "Child":
        """Start a process and tell it what to serve.

        It gets a session of its own, so that the terminal's signals pass it by, and none of our secrets: only those
        variables of the environment that a program needs to run.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # never import from the folder that the server was started in
            "-m",
            "tertulia.providers.local.child",
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=surroundings(os.environ),
            start_new_session=True,
            limit=LINE_BYTES,
        )
        assert process.stdin is not None  # noqa: S101  # a pipe was asked for
        process.stdin.write(msgspec.json.encode(launch) + b"\n")
        return cls(process)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    async def port(self, timeout_s: float) -> int:
        """Wait until the model is loaded and give the port that it is served on.

        Raises `ChildEnded` when it ends first, says that it cannot, or takes longer than that.
        """
        assert self._process.stdout is not None  # noqa: S101  # a pipe was asked for
        try:
            async with asyncio.timeout(timeout_s):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise ChildEnded(f"it was still loading after {timeout_s:.0f} s") from None
        if not line:
            raise ChildEnded(self._with_cause(await self.ended()))
        report = read_report(line)
        if isinstance(report, Ready):
            return report.port
        await self.ended()
        raise ChildEnded(self._with_cause(report.message))

    async def ended(self) -> str:
        """Wait for the end and say how it came."""
        code = await self._process.wait()
        await self._reading
        return described(code)

    async def end(self) -> None:
        """End it at once: it holds nothing that would have to be saved."""
        if self._process.returncode is None:
            self._process.kill()
        await self.ended()

    def assertion(self) -> str | None:
        """Give the place in the engine's source whose check failed, where that was the end."""
        found = ASSERTION.search(self._tail.decode(errors="replace"))
        return found["message"] if found else None

    def _with_cause(self, message: str) -> str:
        """Add the engine's first complaint of a model that it could not load; no prompt was seen yet."""
        found = ENGINE_ERROR.search(self._tail.decode(errors="replace"))
        cause = found["message"].strip() if found else self.assertion()
        return f"{message} ({cause})" if cause else message

    async def _read_errors(self) -> None:
        assert self._process.stderr is not None  # noqa: S101  # a pipe was asked for
        while data := await self._process.stderr.read(4096):
            self._tail = (self._tail + data)[-TAIL_BYTES:]


def read_report(line: bytes) -> Report:
    """Read the child's line.

    Raises `ChildEnded` for one that is no word of the handshake.
    """
    try:
        return msgspec.json.decode(line, type=Report)
    except msgspec.MsgspecError:
        raise ChildEnded("it printed something else than its port") from None


def surroundings(environment: Mapping[str, str]) -> dict[str, str]:
    """Choose the variables of the environment that a child is given.

    Its native library would call a debugger for a trace of its stack when it aborts; that is turned off.
    """
    passed_on = {name: value for name, value in environment.items() if PASSED_ON.fullmatch(name.upper())}
    return {**passed_on, "GGML_NO_BACKTRACE": "1"}


def described(code: int) -> str:
    """Say in words how a process with this return code ended."""
    if code >= 0:
        return f"it ended with status {code}"
    try:
        return f"it was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was ended by signal {-code}"
