"""The fake in process and the same over HTTP are told apart by nobody (Operation, kind `scripted`)."""

from typing import Any

import pytest

from tests.running import RunningServer, chat, frames

SCRIPTS: dict[str, dict[str, Any]] = {
    "plain": {"reply": "one two three"},
    "pieces": {"pieces": ["a", "bc", ""], "repeat": 2},
    "reasoning": {"reply": "so", "reasoning": "let me think"},
    "refusal": {"refusal": "rather not"},
    "tools": {"tool_calls": [{"name": "a", "arguments": '{"x": 1}'}, {"name": "b", "id": "mine"}]},
    "length": {"reply": "cut here", "finish": "length"},
    "silent": {"reply": ""},
    "counted": {"reply": "x", "usage": {"prompt": 11, "completion": 7, "cached": 3, "reasoning": 2}},
    "uncounted": {"reply": "four words are here", "usage": "none"},
    "torn": {"reply": "h\u00e9llo w\u00f6rld \U0001f600", "tear": True, "piece_chars": 1},
}
FAULTS: list[dict[str, Any]] = [
    *(
        {"kind": "status", "status": status}
        for status in (400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 503, 529)
    ),
    {"kind": "status", "status": 429, "retry_after": 7},
    {"kind": "status", "status": 400, "code": "context_length_exceeded"},
    *({"kind": kind} for kind in ("html", "reset", "cut", "half_frame", "garbage", "no_terminal", "error_event")),
]


def shown(answer: Any, *, stream: bool) -> Any:
    """What a client can see of an answer, but for ids, times and sentences."""
    if answer.status_code != 200:
        return answer.status_code, answer.json()["error"]["code"], answer.headers.get("retry-after")
    if not stream:
        body = answer.json()
        return body["choices"], body["usage"]
    found = frames(answer.text)
    choices = [choice for frame in found[:-1] for choice in frame["data"].get("choices", ())]
    said: dict[int, str] = {}  # choices may come side by side in any order
    for choice in choices:
        said[choice["index"]] = said.get(choice["index"], "") + (choice["delta"].get("content") or "")
    ends = sorted((choice["index"], choice["finish_reason"]) for choice in choices if choice["finish_reason"])
    errors = [frame["data"]["error"]["code"] for frame in found[:-1] if "error" in frame["data"]]
    usage = [frame["data"]["usage"] for frame in found[:-1] if frame["data"].get("usage")]
    return said, ends, errors, usage


def both(server: RunningServer, *, stream: bool, **fields: Any) -> tuple[Any, Any]:
    options = {"stream_options": {"include_usage": True}} if stream else {}
    client = server.client()
    return tuple(
        shown(chat(client, "the same", model=model, stream=stream, **options, **fields), stream=stream)
        for model in ("fake/echo", "up/echo")
    )  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts(server: RunningServer, name: str, *, stream: bool) -> None:
    here, there = both(server, stream=stream, script=SCRIPTS[name])
    assert here == there


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_choices_and_log_probabilities(server: RunningServer, *, stream: bool) -> None:
    for fields in ({"n": 3}, {"logprobs": True}):
        here, there = both(server, stream=stream, **fields)
        assert here == there


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_faults(server: RunningServer, *, stream: bool) -> None:
    differing = []
    for fault in FAULTS:
        for after in (0, 2) if stream else (0,):
            script = {"reply": "one two three", "pace_ms": 1, "fault": {**fault, "after": after}}
            here, there = both(server, stream=stream, script=script)
            if here != there:
                differing.append((fault, after, here, there))
    assert differing == []


def test_a_script_that_cannot_be_read(server: RunningServer) -> None:
    here, there = both(server, stream=False, script={"replyy": "x"})
    assert here == there
    assert here[:2] == (400, "invalid")
