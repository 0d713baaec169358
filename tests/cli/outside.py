"""Another program that writes to our database."""

import subprocess
import sys
from pathlib import Path

_PROGRAM = (
    "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=5); "
    "c.execute(sys.argv[2], sys.argv[3:]); c.commit(); c.close()"
)


def outside(home: Path, statement: str, *values: str) -> None:
    """Change the SQLite file of a home from a process of its own: one process must not open it twice."""
    subprocess.run([sys.executable, "-c", _PROGRAM, str(home / "tertulia.db"), statement, *values], check=True)
