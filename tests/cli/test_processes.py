"""What goes wrong before a server serves: one line, code 1, and no story (Operation, Commands)."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command, run
from tests.cli.outside import outside
from tests.running import Process


def test_help_and_version() -> None:
    assert re.fullmatch(r"tertulia \d+\.\d+\.\d+\S*\n", run("--version").good())
    shown = run("--help").good()
    for name in ("serve", "migrate", "doctor", "openapi", "config", "user", "key", "models", "dev"):
        assert name in shown


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def test_a_port_that_is_taken(home: Path, taken: int) -> None:
    refused = run("serve", "--port", str(taken), "--home", home).refused()
    assert f"Cannot listen on 127.0.0.1:{taken}: address already in use" in refused
    assert "--port" in refused
    assert f"127.0.0.1:{taken}" in run("dev", "upstream", "--port", str(taken)).refused()


def test_a_host_that_is_not_known(home: Path) -> None:
    ran = run("serve", "--host", "nonesuch.invalid", "--home", home)
    assert ran.code == 1
    assert ran.error.splitlines()[-1].startswith("tertulia: Cannot listen on nonesuch.invalid:8000: the host")


def test_a_home_that_cannot_be(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert f"The home {file / 'home'} cannot be used" in run("serve", "--home", file / "home").refused()


def test_workers_need_more_than_sqlite(command: Command) -> None:
    assert "More than one worker needs Postgres and Valkey" in command("serve", "--workers", "2").refused()


def test_a_database_of_a_newer_version(command: Command, home: Path) -> None:
    command("migrate").good()
    outside(home, "UPDATE alembic_version SET version_num = '9999'")
    for ran in (run("serve", "--port", "0", "--home", home), command("user", "list"), command("migrate")):
        assert "is at revision 9999, newer than this version" in ran.refused()


def test_a_database_that_is_none(command: Command, home: Path) -> None:
    home.mkdir()
    (home / "tertulia.db").write_bytes(b"\0\1\2\3" * 4096)
    for ran in (run("serve", "--port", "0", "--home", home), command("user", "list"), command("migrate")):
        assert "not a database" in ran.refused()


@pytest.mark.parametrize("url", ["mysql://u:canary@h/d", "sqlite://x", "postgresql://u:canary@127.0.0.1:9/d"])
def test_a_database_that_is_not_there(command: Command, url: str) -> None:
    assert "canary" not in command("user", "list", TERTULIA_DATABASE_URL=url).refused()


def test_the_environment_finds_the_home(tmp_path: Path) -> None:
    shown = run("config", "show", TERTULIA_HOME=str(tmp_path / "one")).good()
    assert f"sqlite:///{tmp_path / 'one' / 'tertulia.db'}" in shown
    elsewhere = run("config", "check", "-v", cwd=tmp_path, HOME=str(tmp_path), XDG_DATA_HOME="")
    assert f"home: {tmp_path / '.local' / 'share' / 'tertulia'}" in elsewhere.error
    (tmp_path / ".tertulia").mkdir()
    assert f"home: {tmp_path / '.tertulia'}\n" in run("config", "check", "-v", cwd=tmp_path).error
    told = run("config", "check", "-v", cwd=tmp_path, HOME=str(tmp_path), TERTULIA_HOME="~/mine")
    assert f"home: {tmp_path / 'mine'}\n" in told.error


def test_it_says_where_it_is_and_how_to_get_in(home: Path) -> None:
    process = Process("serve", "--home", str(home), "--port", "0", environment={"TERTULIA_REDIS_URL": "redis://x"})
    assert process.url.startswith("http://127.0.0.1:")
    assert process.process.stdout is not None
    assert f"tertulia key create --user admin --home {home}" in process.process.stdout.readline()
    _, error = process.stop()
    assert process.process.returncode == 0
    assert "no effect in this version: TERTULIA_REDIS_URL" in error
    assert "Traceback" not in error
