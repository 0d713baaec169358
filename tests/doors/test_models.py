"""Which models there are, and how they are named (HTTP contract, OpenAI face and `/api/models`)."""

from pathlib import Path
from typing import Any

import pytest

from tests.asked import last_asked, last_headers
from tests.running import FakeUpstream, RunningServer, chat


def test_the_list_on_both_faces(server: RunningServer) -> None:
    client = server.client()
    listed = client.get("/v1/models").json()
    assert listed["object"] == "list"
    ids = [model["id"] for model in listed["data"]]
    assert ids == sorted(set(ids), key=ids.index)
    assert {"up/echo", "fake/echo", "nobody/m", "strict/echo", "fast", "careful"} <= set(ids)
    assert client.get("/api/v1/models").json() == listed
    ours = {model["id"]: model for model in client.get("/api/models").json()["models"]}
    assert set(ids) - {"fast", "careful"} == ours.keys()
    assert ours["up/echo"]["creditCost"] == {"prompt": "0.5", "completion": "1.5"}
    assert ours["fake/echo"]["creditCost"] == {"prompt": "0", "completion": "0"}
    assert ours["nobody/m"]["creditCost"] is None  # not known is not free
    assert {"chat", "stream"} <= set(ours["up/echo"]["capabilities"])
    assert (ours["up/echo"]["provider"], ours["up/echo"]["available"]) == ("up", True)


def test_one_model(server: RunningServer) -> None:
    client = server.client()
    for model in ("up/echo", "fast"):
        for path in (f"/v1/models/{model}", f"/v1/models/{model}/", f"/api/v1/models/{model.replace('/', '%2F')}"):
            assert client.get(path).json()["id"] == model, path
    missing = client.get("/v1/models/up/nonesuch")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("fields", "answered"),
    [
        ({"model": "up/echo"}, "up/echo"),
        ({"model": "up:echo"}, "up/echo"),
        ({"model": "up/anything-it-has"}, "up/anything-it-has"),
        ({"model": "fast"}, "up/echo"),
        ({"model": "echo"}, "up/echo"),
        ({"model": "echo", "api_provider": "fake"}, "fake/echo"),
        ({"model": "echo", "apiProvider": "fake"}, "fake/echo"),
        ({"model": "fake/echo", "api_provider": "fake"}, "fake/echo"),
        ({"model": "strict/echo"}, "strict/echo"),
        ({"model": None}, "up/echo"),
        ({}, "up/echo"),
    ],
)
def test_a_name_leads_to_a_model(server: RunningServer, fields: dict[str, Any], answered: str) -> None:
    body = {"messages": [{"role": "user", "content": "who?"}], **fields}
    answer = server.client().post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    assert f"{answer.headers['x-provider']}/{answer.headers['x-model']}" == answered
    assert answer.json()["model"] == (fields.get("model") or "up/echo")


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"model": "nonesuch"}, 404, "model_not_found"),
        ({"model": "strict/other"}, 404, "model_not_found"),
        ({"model": "character:00000000-0000-7000-8000-000000000000"}, 404, "model_not_found"),
        ({"model": "up/echo", "api_provider": "fake"}, 400, "invalid"),
        ({"model": "echo", "api_provider": "nobody-knows"}, 400, "invalid"),
        ({"model": ""}, 400, "invalid"),
        ({"model": 7}, 400, "invalid"),
        ({"model": "x" * 600}, 400, "invalid"),
        ({"model": "up/echo", "fallbacks": ["nonesuch"]}, 404, "model_not_found"),
    ],
)
def test_a_name_that_leads_nowhere(server: RunningServer, fields: dict[str, Any], status: int, code: str) -> None:
    body = {"messages": [{"role": "user", "content": "who?"}], **fields}
    answer = server.client().post("/v1/chat/completions", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_near_names_are_offered(server: RunningServer) -> None:
    message = chat(server.client(), model="ecko").json()["error"]["message"]
    assert "Did you mean" in message
    assert "echo" in message


def test_a_host_without_a_key_says_how_to_give_it_one(home: Path, upstream: FakeUpstream) -> None:
    keyless = '[[providers]]\nname = "openai"\nmodels = ["gpt-x"]\n'
    with RunningServer(home, upstream=upstream.url, more=keyless) as own:
        client = own.client()
        refused = chat(client, model="openai/gpt-x")
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "provider_not_configured")
        assert "X-Provider-Key" in refused.json()["error"]["message"]
        assert "x-should-retry" not in refused.headers
        shown = {model["id"]: model for model in client.get("/api/models").json()["models"]}
        assert shown["openai/gpt-x"]["available"] is False
        # one without a key is no fallback either: the chain goes on without it
        chain = chat(client, model="nobody/m", fallbacks=["openai/gpt-x", "up/echo"])
        assert (chain.status_code, chain.headers["x-provider"]) == (200, "up")


@pytest.mark.promise(36)
def test_a_callers_own_key_goes_to_its_provider_alone(server: RunningServer, upstream: FakeUpstream) -> None:
    client = server.client()
    body = {"model": "up/echo", "messages": [{"role": "user", "content": "mine"}]}
    answer = client.post("/v1/chat/completions", json=body, headers={"X-Provider-Key": "sk-canary-of-the-caller"})
    assert answer.status_code == 200
    assert last_headers(upstream)["authorization"] == "Bearer sk-canary-of-the-caller"
    chat(client)
    assert "canary" not in last_headers(upstream).get("authorization", "")
    # as a fallback of another provider it gets no key that was not meant for it
    body = {**body, "model": "nobody/m", "fallbacks": ["up/echo"]}
    fallen = client.post("/v1/chat/completions", json=body, headers={"X-Provider-Key": "sk-canary-of-the-caller"})
    assert fallen.headers["x-provider"] == "up"
    assert "canary" not in last_headers(upstream).get("authorization", "")


def test_a_server_without_models_says_how_to_get_one(home: Path) -> None:
    home.mkdir()
    with RunningServer(home) as own:
        (home / "tertulia.toml").write_text("[local_model]\nenabled = false\n")
        own.restart()
        answer = own.client().post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "x"}]})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
        assert "default_model" in answer.json()["error"]["message"]
        assert own.client().get("/v1/models").json() == {"object": "list", "data": []}
        named = chat(own.client(), model="gpt-5")
        assert (named.status_code, named.json()["error"]["code"]) == (404, "model_not_found")


def test_an_enforced_default_wins(home: Path, upstream: FakeUpstream) -> None:
    with RunningServer(home, upstream=upstream.url, environment={"TERTULIA_ENFORCE_DEFAULT": "true"}) as own:
        for fields in ({"model": "fake/lorem"}, {"model": "nonesuch"}, {"model": "echo", "api_provider": "fake"}):
            answer = chat(own.client(), **fields)
            assert (answer.status_code, answer.headers["x-provider"]) == (200, "up"), answer.text
            assert last_asked(upstream)["model"] == "echo"
