"""What the doors tell to whom, and what names may do to headers and figures."""

from pathlib import Path
from typing import Any

import pytest

from tertulia.app.compose import compose
from tertulia.app.configuration import load_settings
from tertulia.identity.users import User
from tertulia.storage.writer import StorageUnavailable
from tests.running import RunningServer, chat


@pytest.mark.parametrize("name", ["Forwarded", "X-Forwarded-Proto", "X-Forwarded-Prefix"])
def test_even_an_empty_header_of_a_proxy_needs_the_token(server: RunningServer, name: str) -> None:
    assert server.anonymous().get("/metrics", headers={name: ""}).status_code == 401


def test_invented_models_leave_no_label(server: RunningServer) -> None:
    assert chat(server.client("inventor"), model="nobody/invented-by-a-caller").status_code >= 500
    assert "invented-by-a-caller" not in server.anonymous().get("/metrics").text


def test_names_in_headers(server: RunningServer) -> None:
    client = server.client("linguist")
    assert chat(client, model="fake/模型").headers["x-model"] == "%E6%A8%A1%E5%9E%8B"
    assert chat(client, model="fake/a\r\nset-cookie: b=c").status_code == 400


class DeadStorage:
    """A database that is away, whose error says where it was looked for."""

    def on_outside_write(self, callback: object) -> None:
        """Nothing is ever written."""

    async def healthy(self) -> bool:
        raise StorageUnavailable('connection to "db.internal", port 5432 failed for user "tertulia_rw"')


async def test_health_does_not_say_where_the_database_is(home: Path) -> None:
    storage: Any = DeadStorage()
    nothing: Any = None
    loaded = load_settings(home, environment={"TERTULIA_LOCAL_MODEL__ENABLED": "false"})
    app = compose(loaded, storage=storage, transport=nothing, admin=User(b"a" * 16, "admin", "admin"))
    (route,) = (each for each in app.routes if each.path == "/api/health")
    answer: Any = await route.handler(nothing)
    assert answer.status == 503
    assert b"The database cannot be reached." in answer.body
    assert not any(secret in answer.body for secret in (b"db.internal", b"5432", b"tertulia_rw"))
