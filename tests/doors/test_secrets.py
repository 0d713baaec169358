"""A provider's key and address are told to nobody, whatever goes wrong (promise 36)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.asked import last_headers
from tests.running import FakeUpstream, RunningServer, chat

KEY = "canary1-4f9a0b7c2d"
HEADER = "canary2-8e1d6a3b5c"
OWN = "canary3-0c7e9f2a4b"
DEAD = "canary4.invalid"


@pytest.fixture(scope="module")
def guarded(upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose provider has a key, a header and an address that nobody may see."""
    more = f"""
[[providers]]
name = "secret"
kind = "openai"
base_url = "{upstream.url}"
api_keys = ["env:THE_KEY"]
headers = {{ X-Tenant = "env:THE_HEADER" }}

[[providers]]
name = "dead"
kind = "openai"
base_url = "http://{DEAD}:1/v1"
api_keys = ["env:THE_KEY"]
models = ["m"]
"""
    home = tmp_path_factory.mktemp("guarded")
    environment = {"THE_KEY": KEY, "THE_HEADER": HEADER}
    with RunningServer(home, upstream=upstream.url, more=more, environment=environment) as running:
        yield running


def complaint(upstream: FakeUpstream) -> str:
    """What a careless provider says of a call: the key, the header, the address."""
    return f"Incorrect API key provided: {KEY}. Called {upstream.url}/chat/completions, Authorization: Bearer {KEY}"


def faults(upstream: FakeUpstream) -> list[dict[str, Any]]:
    said = complaint(upstream)
    statuses = [
        {"kind": "status", "status": status, "message": said, "code": KEY}
        for status in (400, 401, 403, 404, 413, 422, 429, 500, 503)
    ]
    return [*statuses, {"kind": "error_event", "message": said, "after": 1}, {"kind": "html"}, {"kind": "reset"}]


@pytest.mark.promise(36)
def test_the_key_is_sent_and_told_nowhere(guarded: RunningServer, upstream: FakeUpstream) -> None:
    client, told = guarded.client(), []
    good = chat(client, model="secret/echo")
    assert good.status_code == 200
    assert last_headers(upstream)["authorization"] == f"Bearer {KEY}"  # the canary is where it belongs
    assert last_headers(upstream)["x-tenant"] == HEADER
    for save in (True, False):
        for stream in (True, False):
            for fault in faults(upstream):
                answer = chat(client, model="secret/echo", save_to_db=save, stream=stream, script={"fault": fault})
                told += [answer.text, str(answer.headers)]
                found = answer.headers.get("x-generation-id") or _generation_of(answer.text)
                if found:
                    told += [client.get(f"/api/generations/{found}{path}").text for path in ("", "/events")]
    headers = {"X-Provider-Key": OWN}
    body = {"messages": [{"role": "user", "content": "x"}], "save_to_db": True}
    for model in ("secret/echo", "dead/m"):
        answer = client.post("/v1/chat/completions", json={**body, "model": model}, headers=headers)
        told += [answer.text, str(answer.headers)]
    for path in ("/metrics", "/openapi.json", "/docs", "/v1/models", "/api/models", "/api/health", "/api/version"):
        told.append(client.get(path).text)
    address = upstream.url.removeprefix("http://").removesuffix("/v1")
    for text in told:
        for secret in ("canary", address, DEAD):
            assert secret not in text, text[:500]


@pytest.mark.promise(36)
def test_the_keys_are_in_no_file_and_no_line(guarded: RunningServer, upstream: FakeUpstream) -> None:
    chat(guarded.client(), model="secret/echo", save_to_db=True, script={"fault": faults(upstream)[0]})
    guarded._close_clients()
    assert guarded.process is not None
    out, error = guarded.process.stop()
    assert '"event":"generation_failed"' in error  # it was told that something failed
    for secret in (KEY, HEADER, OWN, guarded.key()):
        assert secret not in out + error
        assert [file for file in _files(guarded.home) if secret.encode() in file.read_bytes()] == []


def _files(home: Path) -> list[Path]:
    return [file for file in home.rglob("*") if file.is_file()]


def _generation_of(text: str) -> str | None:
    try:
        return json.loads(text)["error"]["details"]["generationId"]
    except (ValueError, KeyError):
        return None
