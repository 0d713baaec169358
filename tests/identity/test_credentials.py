"""Credentials on the wire: one extractor for all faces (HTTP contract, Conventions)."""

import pytest

from tests.running import RunningServer

ROUTES = [
    ("GET", "/v1/models"),
    ("GET", "/api/models"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("POST", "/v1/chat/completions"),
    ("GET", "/api/generations/00000000-0000-7000-8000-000000000000"),
    ("GET", "/v1/nonesuch"),
    ("GET", "/api/nonesuch"),
]


def status(server: RunningServer, *headers: tuple[str, str], path: str = "/v1/models") -> tuple[int, str]:
    answer = server.anonymous().get(path, headers=list(headers))
    code = answer.json()["error"]["code"] if answer.status_code != 200 else ""
    return answer.status_code, code


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_a_credential_nothing_is_told(server: RunningServer, method: str, path: str) -> None:
    answer = server.anonymous().request(method, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "missing_credential"
    assert "Authorization: Bearer" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/api/health", "/health/live", "/health/ready", "/api/version"])
def test_what_is_open_is_open_to_all(server: RunningServer, path: str) -> None:
    assert server.anonymous().get(path).status_code == 200
    assert server.anonymous().get(path, headers={"Authorization": "Bearer wrong"}).status_code == 200


@pytest.mark.promise(34)
def test_every_channel_carries_every_key(server: RunningServer) -> None:
    key = server.key()
    for name, value in (
        ("Authorization", f"Bearer {key}"),
        ("authorization", f"bearer {key}"),
        ("AUTHORIZATION", f"BEARER   {key}"),
        ("X-API-Key", key),
    ):
        assert status(server, (name, value)) == (200, ""), (name, value)


@pytest.mark.promise(34)
def test_a_restriction_holds_on_every_channel(server: RunningServer) -> None:
    key = server.key("reader", "read")
    for name, value in (("Authorization", f"Bearer {key}"), ("X-API-Key", key)):
        client = server.anonymous()
        assert client.get("/v1/models", headers={name: value}).status_code == 200
        refused = client.post("/v1/chat/completions", headers={name: value}, json={})
        assert refused.status_code == 403
        assert "`--scope chat`" in refused.json()["error"]["message"]


@pytest.mark.parametrize("change", ["cut", "longer", "case", "space", "blank", "other"])
def test_the_whole_credential_counts(server: RunningServer, change: str) -> None:
    key = server.key()
    wrong = {
        "cut": key[:-1],
        "longer": f"{key}A",
        "case": key.swapcase(),
        "space": f"{key} {key}",
        "blank": "tt-",
        "other": "tt-" + "A" * 43,
    }[change]
    assert status(server, ("Authorization", f"Bearer {wrong}")) == (401, "invalid_credential")
    assert status(server, ("X-API-Key", wrong)) == (401, "invalid_credential")


@pytest.mark.parametrize(
    "value",
    ["x" * 9000, "' OR 1=1 --", '"; DROP TABLE user; --', "%s%n%00", "{{7*7}}", "../../etc/passwd", "caf\u00e9"],
)
@pytest.mark.promise(40)
def test_no_credential_is_more_than_text(server: RunningServer, value: str) -> None:
    for name, sent in (("Authorization", f"Bearer {value}"), ("X-API-Key", value)):
        raw = [(name.encode(), sent.encode())]
        answer = server.anonymous().get("/v1/models", headers=raw)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_credential")
        assert value[:20] not in answer.text


def test_other_schemes_are_none(server: RunningServer) -> None:
    for value in ("Basic YTpi", "Bearer", "", "Token x"):
        assert status(server, ("Authorization", value)) == (401, "missing_credential")
    assert status(server, ("Authorization", "Basic YTpi"), ("X-API-Key", server.key())) == (200, "")


def test_a_credential_in_the_url_is_none(server: RunningServer) -> None:
    key = server.key()
    for query in (f"api_key={key}", f"key={key}", f"access_token={key}", f"token={key}"):
        assert status(server, path=f"/v1/models?{query}") == (401, "missing_credential")


def test_two_credentials_must_be_of_one_user(server: RunningServer) -> None:
    alice, again, other = server.key(), server.key("alice", "read"), server.key("somebody-else")
    bearer, header = (lambda key: ("Authorization", f"Bearer {key}")), (lambda key: ("X-API-Key", key))
    assert status(server, bearer(alice), header(alice)) == (200, "")
    assert status(server, bearer(alice), header(again)) == (200, "")
    for first, second in ((alice, other), (other, alice), (alice, "wrong"), ("wrong", alice)):
        assert status(server, bearer(first), header(second)) == (401, "invalid_credential")


def test_of_two_credentials_the_first_bounds(server: RunningServer) -> None:
    """A second key of the same user adds nothing to what the first may do."""
    reader, alice = server.key("alice", "read"), server.key()
    headers = [("Authorization", f"Bearer {reader}"), ("X-API-Key", alice)]
    assert server.anonymous().post("/v1/chat/completions", headers=headers, json={}).status_code == 403


def test_one_header_sent_twice_is_refused(server: RunningServer) -> None:
    key = server.key()
    for header in (("Authorization", f"Bearer {key}"), ("X-API-Key", key)):
        assert status(server, header, header) == (401, "invalid_credential")


def test_the_operators_key_is_the_user_admin(server: RunningServer) -> None:
    assert server.admin().get("/v1/models").status_code == 200
    asked = {"model": "up/echo", "messages": [{"role": "user", "content": "x"}], "priority": "critical"}
    assert server.admin().post("/v1/chat/completions", json=asked).status_code == 200
    assert status(server, ("X-API-Key", "the-admin-ke")) == (401, "invalid_credential")


@pytest.mark.promise(34)
def test_a_priority_is_the_roles_or_the_keys(server: RunningServer) -> None:
    asked = {"model": "up/echo", "messages": [{"role": "user", "content": "x"}], "priority": "high"}
    for client, expected in (
        (server.client(), 403),
        (server.client("boss", role="supervisor"), 200),
    ):
        assert client.post("/v1/chat/completions", json=asked).status_code == expected
    assert server.client().post("/v1/chat/completions", json=asked | {"priority": "low"}).status_code == 200
