import json
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.faces.openai.encode import ChunkEncoder, completion, error_body
from tertulia.turn.events import (
    Attempt,
    Ended,
    Event,
    Fault,
    Finish,
    Opaque,
    Queued,
    Started,
    Text,
    ToolCallDelta,
    UsageSeen,
)
from tertulia.turn.fold import Choice, Gap, fold
from tertulia.turn.usage import Usage
from tests.faces_wire.frames import Wire, read_frames, require_ids, stream_of
from tests.faces_wire.logs import GENERATION, KEPT, STARTED, choices_of, logs, quiet

MESSAGES: Any = [{"role": "user", "content": "Hi"}]


def chunks_of(encoder: ChunkEncoder, log: list[Event]) -> list[dict[str, Any]]:
    frames = read_frames(stream_of(encoder, log))
    assert frames.pop() == (None, "", "[DONE]")
    return [json.loads(data) for _, _, data in frames]


def accumulated(wire: Wire, body: bytes) -> Any:
    wire.lay(body)
    options: Any = {"include_usage": True}
    with wire.openai.chat.completions.stream(model="m", messages=MESSAGES, stream_options=options) as stream:
        for _ in stream:
            pass
        return stream.current_completion_snapshot  # `get_final_completion` refuses what was cut by its length


def whole(wire: Wire, log: list[Event]) -> Any:
    started, ended = log[0], log[-1]
    assert isinstance(started, Started)
    assert isinstance(ended, Ended)
    wire.lay(completion(started, choices_of(log), ended), "application/json")
    return wire.openai.chat.completions.create(model="m", messages=MESSAGES)


def same_message(message: Any, choice: Choice) -> None:
    assert (message.content or "") == choice.text
    assert (message.refusal or "") == choice.refusal
    assert (getattr(message, "reasoning_content", None) or "") == choice.reasoning
    calls = [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()]
    assert calls == [(call.id, call.function.name, call.function.arguments) for call in choice.tool_calls]
    assert [image["image_url"]["url"] for image in getattr(message, "images", None) or ()] == list(choice.images)


def unordered(entries: list[dict[str, Any]] | None) -> list[str]:
    """Give entries of a list so that they compare: a stream numbers them, in the order in which they came."""
    return sorted(json.dumps({k: v for k, v in e.items() if k != "index" and v is not None}) for e in entries or ())


@given(log=logs(most_choices=3, outcomes=("completed", "cancelled")), beats=st.booleans())
@quiet
def test_the_sdk_accumulates_a_stream_to_the_fold(wire: Wire, log: list[Event], *, beats: bool) -> None:
    found = accumulated(wire, stream_of(ChunkEncoder(include_usage=True), log, heartbeats=beats))
    folded, ended = choices_of(log), log[-1]
    assert isinstance(ended, Ended)
    assert len(found.choices) == max(len(folded), len(ended.finishes))
    for index, choice in enumerate(folded):
        assert found.choices[index].index == index
        same_message(found.choices[index].message, choice)
        reason = "stop" if ended.outcome == "cancelled" else ended.finishes[index].reason
        assert found.choices[index].finish_reason == reason
        tokens = [token for piece in choice.logprobs for token in piece["content"]]
        logprobs = found.choices[index].logprobs
        assert [each.logprob for each in (logprobs.content if logprobs else None) or ()] == [
            t["logprob"] for t in tokens
        ]
    assert found.usage.total_tokens == ended.usage.total if ended.usage else found.usage is None


@given(log=logs(most_choices=3, outcomes=("completed", "cancelled")))
@quiet
def test_the_whole_answer_says_what_the_stream_says(wire: Wire, log: list[Event]) -> None:
    streamed = accumulated(wire, stream_of(ChunkEncoder(include_usage=True), log))
    answer = whole(wire, log)
    for index, choice in enumerate(choices_of(log)):
        same_message(answer.choices[index].message, choice)
        one, other = answer.choices[index].message.to_dict(), streamed.choices[index].message.to_dict()
        assert unordered(one.get("reasoning_details")) == unordered(other.get("reasoning_details"))
        assert unordered(one.get("annotations")) == unordered(other.get("annotations"))
        assert unordered(one.get("citations")) == unordered(other.get("citations"))
        assert answer.choices[index].finish_reason == streamed.choices[index].finish_reason
    assert answer.usage == streamed.usage
    assert answer.id == streamed.id == f"chatcmpl-{GENERATION}"


@given(log=logs(most_choices=3, outcomes=("completed", "cancelled", "failed", "interrupted")), usage=st.booleans())
@quiet
def test_each_entry_has_one_id_and_the_same_bytes(log: list[Event], *, usage: bool) -> None:
    require_ids(lambda: ChunkEncoder(include_usage=usage), log)


@given(log=logs(most_choices=2), usage=st.booleans())
@quiet
def test_every_chunk_is_of_openais_shape(log: list[Event], *, usage: bool) -> None:
    for chunk in chunks_of(ChunkEncoder(include_usage=usage), log):
        assert chunk["id"] == f"chatcmpl-{GENERATION}"
        assert chunk["object"] == "chat.completion.chunk"
        assert chunk["created"] == 1_700_000_000
        assert chunk["model"] == "openai/gpt-4o"
        assert ("usage" in chunk) is usage
        assert len(chunk["choices"]) == (0 if chunk.get("usage") else 1)
        for choice in chunk["choices"]:
            assert choice.keys() >= {"index", "delta", "logprobs", "finish_reason"}
            assert choice.get("finishReason") == choice["finish_reason"]


def test_ids_stand_in_the_first_chunk_only() -> None:
    log: list[Event] = [KEPT, Text("a"), Ended("completed", (Finish("stop"),), Usage(1, 1))]
    first, *others = chunks_of(ChunkEncoder(include_usage=False), log)
    assert first["generation_id"] == GENERATION
    assert first["conversation_id"] == KEPT.conversation_id
    assert first["message_id"] == KEPT.message_id
    assert first["user_message_id"] == KEPT.user_message_id
    assert "message_ids" not in first
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert all("generation_id" not in chunk for chunk in others)


def test_many_choices_name_all_their_messages() -> None:
    started = Started(GENERATION, "m", 0, message_id="a", message_ids=("a", "b"))
    first, *_ = chunks_of(
        ChunkEncoder(include_usage=False), [started, Ended("completed", (Finish("stop"), Finish("stop", 1)))]
    )
    assert first["message_ids"] == ["a", "b"]


def test_camel_case_twins_stand_beside_the_names() -> None:
    usage = Usage(10, 5, cached=4, cache_write=1, reasoning=2, estimated=True)
    log: list[Event] = [STARTED, Text("a"), Ended("completed", (Finish("stop"),), usage)]
    last, counted = chunks_of(ChunkEncoder(include_usage=True), log)[-2:]
    assert last["choices"][0]["finishReason"] == "stop"
    assert counted["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 2},
        "promptTokens": 10,
        "completionTokens": 5,
        "totalTokens": 15,
        "estimated": True,
    }
    answer = json.loads(completion(STARTED, (Choice("a"),), Ended("completed", (Finish("stop"),), usage)))
    assert answer["usage"] == counted["usage"]
    assert answer["choices"][0]["finishReason"] == "stop"


def test_what_was_cancelled_reads_stop_and_says_so() -> None:
    log: list[Event] = [STARTED, Text("a"), Ended("cancelled", (Finish("stop"),), Usage(1, 1))]
    last = chunks_of(ChunkEncoder(include_usage=False), log)[-1]
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["status"] == "cancelled"
    answer = json.loads(completion(STARTED, (Choice("a"),), Ended("cancelled", (Finish("length"),), Usage(1, 1))))
    assert answer["status"] == "cancelled"
    assert answer["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("upstream_truncated", "server_error"),
        ("upstream_timeout", "server_error"),
        ("rate_limited", "rate_limit_error"),
        ("context_length_exceeded", "invalid_request_error"),
        ("insufficient_credits", "insufficient_quota"),
        ("model_not_allowed", "permission_error"),
        ("never_heard_of", "server_error"),
    ],
)
def test_a_failed_stream_ends_with_an_error_that_the_sdk_raises(wire: Wire, code: str, kind: str) -> None:
    fault = Fault(code, "It broke.", {"upstream_status": 500})
    log: list[Event] = [KEPT, Text("a"), Ended("failed", (), Usage(1, 1), fault, partial=True)]
    body = stream_of(ChunkEncoder(include_usage=True), log)
    assert body.endswith(b"data: [DONE]\n\n")
    assert b'"finish_reason":"' not in body
    wire.lay(body)
    with pytest.raises(openai.APIError) as raised:
        list(wire.openai.chat.completions.create(model="m", messages=MESSAGES, stream=True))
    error: Any = raised.value.body
    assert error == {
        "message": "It broke.",
        "type": kind,
        "param": None,
        "code": code,
        "details": {
            "upstream_status": 500,
            "generationId": GENERATION,
            "conversationId": KEPT.conversation_id,
            "userMessageId": KEPT.user_message_id,
            "messageId": KEPT.message_id,
            "partial": True,
        },
        "request_id": "req-1",
    }


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "insufficient_quota"),
        (403, "permission_error"),
        (404, "invalid_request_error"),
        (409, "invalid_request_error"),
        (413, "invalid_request_error"),
        (415, "invalid_request_error"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "server_error"),
        (503, "server_error"),
    ],
)
def test_the_type_of_an_error_follows_from_its_status(status: int, kind: str) -> None:
    error = json.loads(error_body("invalid", "No.", "model", {"a": 1}, "r", status))["error"]
    assert error == {
        "message": "No.",
        "type": kind,
        "param": "model",
        "code": "invalid",
        "details": {"a": 1},
        "request_id": "r",
    }


def test_a_call_gets_what_it_lacks_before_its_choice_ends() -> None:
    log: list[Event] = [STARTED, ToolCallDelta(0, None, "now"), Ended("completed", (Finish("tool_calls"),))]
    _, begun, lacking, last = chunks_of(ChunkEncoder(include_usage=False), log)
    assert begun["choices"][0]["delta"]["tool_calls"][0]["function"] == {"name": "now", "arguments": ""}
    assert lacking["choices"][0]["delta"]["tool_calls"] == [
        {"index": 0, "id": "call_0", "function": {"arguments": "{}"}}
    ]
    assert last["choices"][0]["finish_reason"] == "tool_calls"


def test_a_name_that_comes_twice_is_written_once(wire: Wire) -> None:
    fragments = [ToolCallDelta(0, "c", "now", "{"), ToolCallDelta(0, "c", "now", "}")]
    log: list[Event] = [STARTED, *fragments, Ended("completed", (Finish("tool_calls"),), Usage())]
    call = accumulated(wire, stream_of(ChunkEncoder(include_usage=True), log)).choices[0].message.tool_calls[0]
    assert (call.id, call.function.name, call.function.arguments) == ("c", "now", "{}")


def test_a_custom_tools_input_keeps_its_form() -> None:
    fragments = [ToolCallDelta(0, "c", "shell", "ls", kind="custom"), ToolCallDelta(0, arguments=" -l", kind="custom")]
    log: list[Event] = [STARTED, *fragments, Ended("completed", (Finish("tool_calls"),), Usage())]
    _, one, two, _ = chunks_of(ChunkEncoder(include_usage=False), log)
    assert one["choices"][0]["delta"]["tool_calls"] == [
        {"index": 0, "type": "custom", "id": "c", "custom": {"name": "shell", "input": "ls"}}
    ]
    assert two["choices"][0]["delta"]["tool_calls"] == [{"index": 0, "custom": {"input": " -l"}}]
    answer = json.loads(completion(STARTED, fold(log).choices(), Ended("completed", (Finish("tool_calls"),))))
    assert answer["choices"][0]["message"]["tool_calls"] == [
        {"id": "c", "type": "custom", "custom": {"name": "shell", "input": "ls -l"}}
    ]


def test_waiting_and_attempts_are_no_frames(wire: Wire) -> None:
    encoder = ChunkEncoder(include_usage=False)
    assert encoder.entry(1, STARTED)
    assert encoder.entry(2, Queued(3, 1200)) == b": queued position=3 estimated_wait_ms=1200\n"
    assert encoder.entry(3, Attempt("p", "m", "failed", 0, code="upstream_error")) == b""
    assert encoder.entry(4, UsageSeen(Usage(1, 1))) == b""


def test_a_continued_answer_begins_with_what_there_was(wire: Wire) -> None:
    log: list[Event] = [
        Started(GENERATION, "m", 0, text="Once "),
        Text("upon"),
        Ended("completed", (Finish("stop"),), Usage()),
    ]
    assert accumulated(wire, stream_of(ChunkEncoder(include_usage=True), log)).choices[0].message.content == "Once upon"


@given(log=logs(most_choices=2))
@quiet
def test_a_gap_is_told_as_chunks_to_who_has_nothing_yet(wire: Wire, log: list[Event]) -> None:
    encoder = ChunkEncoder(include_usage=True)
    ended = log[-1]
    gap = Gap(1, len(log) - 1, choices_of(log), "folded")
    body = encoder.entry(1, log[0]) + encoder.gap(gap) + encoder.entry(len(log), ended) + encoder.done
    found = accumulated(wire, body)
    for index, choice in enumerate(choices_of(log)):
        same_message(found.choices[index].message, choice)


def test_a_gap_that_would_have_to_take_back_is_an_error(wire: Wire) -> None:
    encoder = ChunkEncoder(include_usage=False)
    body = encoder.entry(1, STARTED) + encoder.entry(2, Text("a"))
    told = encoder.gap(Gap(9, 2, (Choice("a"),), "crash"))
    assert b"id:" not in told
    wire.lay(body + told + encoder.done)
    with pytest.raises(openai.APIError) as raised:
        list(wire.openai.chat.completions.create(model="m", messages=MESSAGES, stream=True))
    assert raised.value.code == "interrupted"
    assert f"/api/generations/{GENERATION}" in raised.value.message


def test_perplexitys_sources_stand_beside_the_choices(wire: Wire) -> None:
    sources = {"citations": ["https://a.example"], "search_results": [{"title": "A"}]}
    log: list[Event] = [
        STARTED,
        Text("a"),
        Opaque(sources, "openai"),
        Opaque(sources, "openai"),
        Ended("completed", (Finish("stop"),), Usage()),
    ]
    chunk = chunks_of(ChunkEncoder(include_usage=False), log)[2]
    assert chunk["citations"] == ["https://a.example"]
    assert accumulated(wire, stream_of(ChunkEncoder(include_usage=True), log)).choices[0].message.content == "a"
    assert json.loads(completion(STARTED, fold(log).choices(), Ended("completed", (Finish("stop"),))))["search_results"]
