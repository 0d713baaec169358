"""Which fields are ours, which go to the provider, and by which spelling (HTTP contract, Conventions)."""

from typing import Any

import pytest

from tests.asked import last_asked
from tests.running import FakeUpstream, RunningServer, chat

USER = {"role": "user", "content": "hello"}
OURS: dict[str, Any] = {
    "save_to_db": True,
    "priority": "low",
    "on_disconnect": "cancel",
    "fallbacks": ["fake/echo"],
    "api_provider": "up",
    "user_name": "Ada",
    "history_message_limit": 5,
    "strict_params": False,
    "store": True,
    "dictionary_ids": [],
    "world_book_ids": [],
}
THEIRS: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.25,
    "max_tokens": 77,
    "presence_penalty": 0.5,
    "frequency_penalty": -0.5,
    "stop": ["END"],
    "seed": 7,
    "logit_bias": {"50256": -100},
    "parallel_tool_calls": False,
    "response_format": {"type": "json_object"},
    "reasoning_effort": "low",
    "service_tier": "auto",
    "user": "someone",
    "metadata": {"a": "b"},
    "top_k": 5,
    "min_p": 0.5,
}


def twin(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def post(server: RunningServer, **fields: Any) -> Any:
    body = {"model": "up/echo", "messages": [USER], **fields}
    answer = server.client().post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.parametrize("stream", [False, True])
def test_ours_never_reach_the_provider(server: RunningServer, upstream: FakeUpstream, *, stream: bool) -> None:
    for fields in (OURS, {twin(name): value for name, value in OURS.items()}):
        post(server, **fields, stream=stream)
        asked = last_asked(upstream)
        assert asked["model"] == "echo"
        assert asked["messages"] == [USER]
        assert asked.keys() <= {"model", "messages", "stream", "stream_options"}, asked


def test_openais_reach_the_provider_by_their_own_names(server: RunningServer, upstream: FakeUpstream) -> None:
    for fields in (THEIRS, {twin(name): value for name, value in THEIRS.items()}):
        answer = post(server, **fields)
        asked = last_asked(upstream)
        assert {name: asked.get(name) for name in THEIRS} == THEIRS
        assert "x-dropped-params" not in answer.headers


def test_what_nobody_knows_reaches_the_provider_as_it_is(server: RunningServer, upstream: FakeUpstream) -> None:
    unknown = {
        "made_up": {"deepHere": [1, None, 0.1, "x"], "snake_here": True},
        "madeUpToo": 10**15,
        "x-dashed": "\u00e9",
        "null_too": None,
        "": "no name",
    }
    messages = [
        {"role": "system", "content": "s", "weight": 2},
        {"role": "user", "content": "u", "name": "ada", "made": {"up": 1}},
    ]
    post(server, **unknown, messages=messages)
    asked = last_asked(upstream)
    assert {name: asked.get(name, "absent") for name in unknown} == unknown
    assert asked["messages"] == messages


def test_null_is_as_if_left_out(server: RunningServer, upstream: FakeUpstream) -> None:
    nothing = dict.fromkeys(
        [*THEIRS, "tools", "tool_choice", "n", "stream_options", "save_to_db", "priority", "fallbacks"]
    )
    answer = post(server, **nothing)
    assert not nothing.keys() & last_asked(upstream).keys()
    assert "conversation_id" not in answer.json()


@pytest.mark.parametrize(
    ("name", "value"), [("top_p", 0.5), ("max_tokens", 9), ("save_to_db", True), ("api_provider", "up")]
)
def test_both_spellings_may_say_the_same(server: RunningServer, name: str, value: Any) -> None:
    post(server, **{name: value, twin(name): value})


def test_messages_take_both_spellings_too(server: RunningServer, upstream: FakeUpstream) -> None:
    function = {"name": "clock", "arguments": "{}"}
    call = {"id": "call_1", "type": "function", "function": function}
    messages = [
        USER,
        {"role": "assistant", "content": None, "toolCalls": [call]},
        {"role": "tool", "toolCallId": "call_1", "content": "noon"},
    ]
    post(server, messages=messages)
    _, assistant, tool = last_asked(upstream)["messages"]
    assert assistant["tool_calls"] == [call]
    assert (tool["tool_call_id"], tool["content"]) == ("call_1", "noon")


def test_every_content_part_reaches_the_provider(server: RunningServer, upstream: FakeUpstream) -> None:
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "high"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"file_id": "f-1"}},
    ]
    post(server, messages=[{"role": "user", "content": parts}])
    assert last_asked(upstream)["messages"][0]["content"] == parts


def test_the_answer_has_its_twins(server: RunningServer) -> None:
    body = chat(server.client()).json()
    usage, choice = body["usage"], body["choices"][0]
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert usage[name] == usage[twin(name)]
    assert choice["finish_reason"] == choice["finishReason"] == "stop"
    assert body["id"] == f"chatcmpl-{body['generation_id']}"


@pytest.mark.parametrize(
    "field",
    [
        {"character_id": "00000000-0000-7000-8000-000000000000"},
        {"conversation_id": "00000000-0000-7000-8000-000000000000"},
        {"prompt_template_name": "mine"},
        {"world_book_ids": ["00000000-0000-7000-8000-000000000000"]},
    ],
)
def test_what_this_version_cannot_honour_is_refused_and_named(server: RunningServer, field: dict[str, Any]) -> None:
    answer = chat(server.client(), **field)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "unsupported_parameter")
    assert next(iter(field)) in error["message"]


@pytest.mark.parametrize("tool", ["url-context", "image-generation"])
def test_a_server_tool_that_the_provider_has_not(server: RunningServer, tool: str) -> None:
    answer = chat(server.client(), tools=[tool])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unknown_tool")
    assert tool in answer.json()["error"]["message"]
