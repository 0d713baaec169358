"""Commands beside a server that runs (Operation, Commands)."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import httpx2
import pytest

from tests.cli.conftest import Command, run
from tests.cli.outside import outside
from tests.running import RunningServer, wait_for


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("beside")) as running:
        yield running


@pytest.fixture
def beside(own: RunningServer, commands: Callable[[Path], Command]) -> Command:
    """Commands on the home of the server, which is another process."""
    return commands(own.home)


def test_a_key_made_beside_it_works_within_a_second(own: RunningServer, beside: Command) -> None:
    assert status(own, "tt-unknown") == 401
    key = new_key(beside, "late")
    wait_for(lambda: status(own, key) == 200, 1.0)


def test_every_look_works_beside_it(beside: Command) -> None:
    for arguments in (("user", "list"), ("config", "show"), ("config", "check"), ("doctor",), ("openapi",)):
        beside(*arguments).good()


def test_a_second_server_and_a_migration_are_refused(own: RunningServer, beside: Command) -> None:
    assert own.process is not None
    for refused in (run("serve", "--port", "0", "--home", own.home), beside("migrate")):
        assert f"Another server (process {own.process.pid}) runs on the home {own.home}" in refused.refused()


WITHDRAWN = {
    "revoked": "UPDATE api_key SET revoked_at = 1 WHERE lower(hex(digest)) = ?",
    "expired": "UPDATE api_key SET expires_at = 1 WHERE lower(hex(digest)) = ?",
    "disabled": "UPDATE user SET disabled_at = 1 WHERE id = (SELECT user_id FROM api_key WHERE lower(hex(digest)) = ?)",
}


@pytest.mark.parametrize("how", WITHDRAWN)
def test_a_right_that_is_withdrawn_ends_within_a_second(own: RunningServer, beside: Command, how: str) -> None:
    key = new_key(beside, how)
    wait_for(lambda: status(own, key) == 200, 1.0)
    outside(own.home, WITHDRAWN[how], sha256(key.encode()).hexdigest())
    wait_for(lambda: status(own, key) == 401, 1.5)


def new_key(beside: Command, user: str) -> str:
    beside("user", "add", user).good()
    return beside("key", "create", "--user", user).good().strip()


def status(own: RunningServer, key: str) -> int:
    return httpx2.get(f"{own.url}/v1/models", headers={"X-API-Key": key}).status_code
