"""How each ending looks (HTTP contract, "How each ending looks"): a row of the table, a test."""

from typing import Any

import httpx2
import pytest

from tests.running import FakeUpstream, RunningServer, chat, frames, texts, wait_for

SAVED = [pytest.param(True, id="durable"), pytest.param(False, id="ephemeral")]


def script(**fields: Any) -> dict[str, Any]:
    return {"script": {"reply": "one two three four", **fields}}


def state_of(client: httpx2.Client, generation_id: str) -> dict[str, Any]:
    return client.get(f"/api/generations/{generation_id}").json()


def events_of(client: httpx2.Client, generation_id: str) -> list[dict[str, Any]]:
    return frames(client.get(f"/api/generations/{generation_id}/events").text)


@pytest.mark.parametrize("save", SAVED)
@pytest.mark.parametrize("finish", ["stop", "length", "content_filter"])
def test_completed(server: RunningServer, save: bool, finish: str) -> None:
    client = server.client()
    whole = chat(client, save_to_db=save, **script(finish=finish))
    assert whole.status_code == 200
    choice = whole.json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("one two three four", finish)
    assert choice["finishReason"] == finish
    found = frames(chat(client, save_to_db=save, stream=True, **script(finish=finish)).text)
    assert texts(found) == "one two three four"
    assert found[-1]["data"] == "[DONE]"
    assert found[-2]["data"]["choices"][0]["finish_reason"] == finish
    generation_id = found[0]["data"]["generation_id"]
    state = state_of(client, generation_id)
    assert (state["state"], state["text"], state["finishReason"]) == ("completed", "one two three four", finish)
    events = events_of(client, generation_id)
    assert events[0]["event"] == "start"
    assert events[-2]["event"] == "completed"
    assert events[-1]["data"] == "[DONE]"
    assert texts(events) == "one two three four"


@pytest.mark.promise(10)
@pytest.mark.parametrize("save", SAVED)
def test_cancelled(server: RunningServer, save: bool) -> None:
    client = server.client()
    slow = script(reply="word " * 400, pace_ms=20)
    with client.stream("POST", "/v1/chat/completions", json=_body(save, stream=True, **slow)) as answer:
        generation_id = answer.headers["x-generation-id"]
        lines = answer.iter_lines()
        while "content" not in next(lines):
            pass
        cancelled = server.client().post(f"/api/generations/{generation_id}/cancel", json={"reason": "enough"})
        assert cancelled.status_code == 200
        assert cancelled.json()["state"] == "cancelled"
        found = frames("\n".join(lines))
    assert found[-1]["data"] == "[DONE]"
    last = found[-2]["data"]
    assert (last["choices"][0]["finish_reason"], last["status"]) == ("stop", "cancelled")
    state = state_of(client, generation_id)
    assert state["state"] == "cancelled"
    assert state["text"].startswith("word")
    assert len(state["text"]) < 2000
    assert state["usage"]["estimated"] is True
    assert events_of(client, generation_id)[-2]["event"] == "cancelled"
    again = client.post(f"/api/generations/{generation_id}/cancel")
    assert (again.status_code, again.json()["state"]) == (200, "cancelled")


@pytest.mark.promise(9)
def test_a_client_that_leaves_an_ephemeral_stream_stops_it(server: RunningServer, upstream: FakeUpstream) -> None:
    left = upstream.counts()["left"]
    body = _body(False, stream=True, **script(reply="word " * 400, pace_ms=20))
    with server.client().stream("POST", "/v1/chat/completions", json=body) as answer:
        generation_id = answer.headers["x-generation-id"]
        next(answer.iter_lines())
    wait_for(lambda: upstream.counts()["left"] == left + 1, 2)
    assert wait_for(lambda: state_of(server.client(), generation_id)["state"] == "cancelled")


@pytest.mark.promise(9)
def test_a_client_that_leaves_a_blocking_answer_stops_it(server: RunningServer, upstream: FakeUpstream) -> None:
    left = upstream.counts()["left"]
    with pytest.raises(httpx2.ReadTimeout):
        server.client().post("/v1/chat/completions", json=_body(False, **script(delay_ms=4000)), timeout=0.5)
    wait_for(lambda: upstream.counts()["left"] == left + 1, 2)


@pytest.mark.promise(2)
def test_a_client_that_leaves_a_durable_stream_loses_nothing(server: RunningServer, upstream: FakeUpstream) -> None:
    ended = upstream.counts()["ended"]
    body = _body(True, stream=True, **script(reply="word " * 40, pace_ms=10))
    with server.client().stream("POST", "/v1/chat/completions", json=body) as answer:
        generation_id = answer.headers["x-generation-id"]
        next(answer.iter_lines())
    client = server.client()
    assert wait_for(lambda: state_of(client, generation_id)["state"] == "completed")
    assert state_of(client, generation_id)["text"] == "word " * 40
    assert upstream.counts()["ended"] == ended + 1


@pytest.mark.parametrize("save", SAVED)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"kind": "status", "status": 500}, 502, "upstream_error"),
        ({"kind": "status", "status": 401}, 502, "upstream_error"),
        ({"kind": "status", "status": 400}, 400, "invalid"),
        ({"kind": "status", "status": 429, "retry_after": 7}, 429, "rate_limited"),
        ({"kind": "status", "status": 503}, 503, "provider_unavailable"),
        ({"kind": "html"}, 502, "upstream_error"),
        ({"kind": "reset"}, 502, "upstream_error"),
    ],
)
def test_failed_with_nothing_sent(
    server: RunningServer, fault: dict[str, Any], status: int, code: str, save: bool, stream: bool
) -> None:
    client = server.client()
    answer = chat(client, save_to_db=save, stream=stream, **script(fault=fault))
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"] == code
    assert error["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["x-should-retry"] == "false"
    details = error["details"]
    assert ("messageId" in details, "conversationId" in details) == (save, save)
    assert "partial" not in details
    if status in {429, 503}:
        assert int(answer.headers["retry-after"]) >= 1
    state = state_of(client, details["generationId"])
    assert (state["state"], state["error"]["code"], state["text"]) == ("failed", code, "")
    assert events_of(client, details["generationId"])[-2]["event"] == "failed"


@pytest.mark.parametrize("save", SAVED)
@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("cut", "upstream_truncated"),
        ("half_frame", "upstream_truncated"),
        ("no_terminal", "upstream_truncated"),
        ("reset", "upstream_truncated"),
        ("error_event", "upstream_error"),
        ("garbage", "upstream_invalid"),
    ],
)
def test_failed_after_the_first_token(server: RunningServer, kind: str, code: str, save: bool) -> None:
    client = server.client()
    broken = script(pace_ms=5, fault={"kind": kind, "after": 3})
    found = frames(chat(client, save_to_db=save, stream=True, **broken).text)
    assert texts(found) == "one two thre"
    assert found[-1]["data"] == "[DONE]"
    error = found[-2]["data"]["error"]
    assert error["code"] == code
    generation_id = error["details"]["generationId"]
    state = state_of(client, generation_id)
    assert (state["state"], state["text"], state["error"]["code"]) == ("failed", "one two thre", code)
    terminal = events_of(client, generation_id)[-2]
    assert terminal["event"] == "failed"
    assert terminal["data"]["error"]["code"] == code
    assert terminal["data"]["finishReason"] == "error"


def test_a_silent_upstream_is_a_timeout(server: RunningServer) -> None:
    answer = chat(server.client(), stream=True, **script(fault={"kind": "stall", "after": 0}))
    # The head went out with the first heartbeat, so the failure comes inside the stream.
    found = frames(answer.text)
    assert found[-2]["data"]["error"]["code"] == "upstream_timeout"
    assert found[-1]["data"] == "[DONE]"


def test_a_size_cap_ends_with_length(tmp_path: Any, upstream: Any) -> None:
    with RunningServer(tmp_path / "home", upstream=upstream.url, more="[requests]\nmax_messages = 100\n") as own:
        own.environment["TERTULIA_STREAMING__MAX_RESPONSE_BYTES"] = "100"
        own.restart()
        answer = chat(own.client(), stream=True, **script(reply="x" * 5000, pace_ms=1))
        found = frames(answer.text)
        assert found[-2]["data"]["choices"][0]["finish_reason"] == "length"
        assert 100 < len(texts(found)) < 2000


def _body(save: bool, **fields: Any) -> dict[str, Any]:
    return {
        "model": "up/echo",
        "messages": [{"role": "user", "content": "hi"}],
        "save_to_db": save,
        **fields,
    }
