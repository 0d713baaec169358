"""The command line: in processes of its own, or in this one where only what it says counts."""

import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tertulia.cli import main

STORY = re.compile(r"Traceback|File \"|Error:")


class Ran:
    """A command that is over."""

    def __init__(self, code: int, out: str, error: str) -> None:
        self.code, self.out, self.error = code, out, error

    def refused(self) -> str:
        """The one line of an expected failure."""
        assert self.code == 1, self.out + self.error
        assert not STORY.search(self.error), self.error
        lines = self.error.strip().splitlines()
        assert len(lines) == 1, self.error
        assert lines[0].startswith("tertulia: ")
        return lines[0]

    def good(self) -> str:
        """What a command that went well has printed."""
        assert self.code == 0, self.out + self.error
        return self.out


def run(*arguments: str | Path, cwd: Path | None = None, **environment: str) -> Ran:
    """Run a command in a process; of ours nothing is in its environment but what is given."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TERTULIA_", "OPENAI_"))}
    done = subprocess.run(
        [sys.executable, "-m", "tertulia", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        env=clean | environment,
        cwd=cwd,
        timeout=60,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


Command = Callable[..., Ran]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Command]:
    """Run commands on any home, in this process: a start of Python costs as much as thirty of them."""
    for name in [name for name in os.environ if name.startswith(("TERTULIA_", "OPENAI_"))]:
        monkeypatch.delenv(name)

    def at(home: Path) -> Command:
        def at_home(*arguments: str, **environment: str) -> Ran:
            out, error = io.StringIO(), io.StringIO()
            with monkeypatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
                patch.setattr(sys, "argv", ["tertulia", *arguments, "--home", str(home)])
                for name, value in environment.items():
                    patch.setenv(name, value)
                return Ran(_code(), out.getvalue(), error.getvalue())

        return at_home

    return at


@pytest.fixture
def command(commands: Callable[[Path], Command], home: Path) -> Command:
    """Run commands on an empty home, in this process."""
    return commands(home)


def _code() -> int:
    try:
        main()
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(bool(left.code))
    return 0
