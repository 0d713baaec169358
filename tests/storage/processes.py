"""Starting `child.py` and reading what it tells."""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_CHILD = Path(__file__).with_name("child.py")


class Child:
    """A running child program."""

    def __init__(self, *arguments: str) -> None:
        environment = dict(os.environ) | {"PYTHONPATH": str(_CHILD.parents[2])}
        self.process = subprocess.Popen(
            [sys.executable, str(_CHILD), *arguments], stdout=subprocess.PIPE, env=environment, text=True
        )

    def line(self) -> str:
        """The next line that it tells, empty at its end. Blocks."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def rest(self) -> list[str]:
        """All lines until its end."""
        assert self.process.stdout is not None
        return self.process.stdout.read().splitlines()


@contextmanager
def child(*arguments: str) -> Generator[Child]:
    """Run a child program, and leave none behind."""
    running = Child(*arguments)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()
        assert running.process.stdout is not None
        running.process.stdout.close()
