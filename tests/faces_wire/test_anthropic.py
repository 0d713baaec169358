import json
from typing import Any

import anthropic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.faces.anthropic.encode import MessageEncoder, error_body, message
from tertulia.turn.events import (
    Citation,
    Ended,
    Event,
    Fault,
    Finish,
    Image,
    Opaque,
    Reasoning,
    Started,
    Text,
    ToolCallDelta,
)
from tertulia.turn.fold import Choice, Gap
from tertulia.turn.unfold import unfold
from tertulia.turn.usage import Usage
from tertulia.wire.replay import unpack
from tests.faces_wire.frames import Wire, read_frames, require_ids, stream_of
from tests.faces_wire.logs import GENERATION, IMAGE, KEPT, STARTED, choices_of, logs, quiet

MESSAGES: Any = [{"role": "user", "content": "Hi"}]
SIGNED = {"wire": "anthropic", "data": {"type": "thinking", "thinking": "hm", "signature": "sig"}}


def accumulated(wire: Wire, body: bytes) -> Any:
    wire.lay(body)
    with wire.anthropic.messages.stream(model="m", max_tokens=9, messages=MESSAGES) as stream:
        return stream.get_final_message()


def events_of(log: list[Event]) -> list[dict[str, Any]]:
    return [json.loads(data) for _, _, data in read_frames(stream_of(MessageEncoder(), log))]


def content_of(wire: Wire, *log: Event) -> list[dict[str, Any]]:
    ended = Ended("completed", (Finish("stop"),), Usage(1, 1))
    return accumulated(wire, stream_of(MessageEncoder(), [STARTED, *log, ended])).to_dict(warnings=False)["content"]


@given(log=logs(outcomes=("completed", "cancelled")), beats=st.booleans())
@quiet
def test_the_sdk_accumulates_a_stream_to_the_fold(wire: Wire, log: list[Event], *, beats: bool) -> None:
    found = accumulated(wire, stream_of(MessageEncoder(), log, heartbeats=beats))
    choice, ended = choices_of(log)[0], log[-1]
    assert isinstance(ended, Ended)
    blocks: dict[str, list[Any]] = {}
    for block in found.content:
        blocks.setdefault(block.type, []).append(block)
    said = [event.text for event in log if isinstance(event, Text)]
    assert sorted("".join(block.text for block in blocks.get("text", ()))) == sorted(choice.text + choice.refusal)
    assert len("".join(said)) == len(choice.text)
    assert "".join(block.thinking for block in blocks.get("thinking", ())) == choice.reasoning
    calls = [(block.id, block.name, block.input) for block in blocks.get("tool_use", ())]
    assert calls == [(call.id, call.function.name, json.loads(call.function.arguments)) for call in choice.tool_calls]
    assert len(blocks.get("image", ())) == len(choice.images)
    usage = ended.usage
    assert usage is not None
    assert found.usage.output_tokens == usage.completion
    assert (
        found.usage.input_tokens + found.usage.cache_read_input_tokens + found.usage.cache_creation_input_tokens
        == usage.prompt
    )
    assert found.stop_reason in {"end_turn", "max_tokens", "tool_use", "refusal"}


@given(log=logs(outcomes=("completed", "cancelled")))
@quiet
def test_the_whole_message_is_what_the_stream_comes_to(wire: Wire, log: list[Event]) -> None:
    streamed = accumulated(wire, stream_of(MessageEncoder(), log)).to_dict(warnings=False)
    wire.lay(message(log), "application/json")
    found: Any = wire.anthropic.messages.create(model="m", max_tokens=9, messages=MESSAGES)
    whole = found.to_dict(warnings=False)
    status = whole.pop("status", None)
    whole["usage"].pop("estimated", None)  # a field of ours, which the SDK takes from a whole message only
    assert status == ("cancelled" if isinstance(log[-1], Ended) and log[-1].outcome == "cancelled" else None)
    assert without_nulls(whole) == without_nulls(streamed)


@given(log=logs(outcomes=("completed", "cancelled", "failed", "interrupted")))
@quiet
def test_each_entry_has_one_id_and_the_same_bytes(log: list[Event]) -> None:
    require_ids(MessageEncoder, log)


@given(log=logs())
@quiet
def test_blocks_follow_one_another(log: list[Event]) -> None:
    open_block: int | None = None
    begun = 0
    for event in events_of(log):
        match event["type"]:
            case "content_block_start":
                assert open_block is None
                assert event["index"] == begun
                open_block, begun = begun, begun + 1
            case "content_block_delta":
                assert event["index"] == open_block
            case "content_block_stop":
                assert event["index"] == open_block
                open_block = None
            case _:
                assert open_block is None


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def test_a_thought_keeps_its_signature_and_what_is_sealed_stays_sealed(wire: Wire) -> None:
    sealed = {"wire": "anthropic", "data": {"type": "redacted_thinking", "data": "c2VhbGVk"}}
    log = (
        Reasoning("h", 0, 0),
        Reasoning("m", 0, 0),
        Reasoning("", 0, 0, SIGNED),
        Reasoning("", 0, 1, sealed),
        Text("a", 0, 2),
    )
    assert content_of(wire, *log) == [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "c2VhbGVk"},
        {"type": "text", "text": "a"},
    ]


def test_signed_thoughts_keep_their_texts_through_the_fold(wire: Wire) -> None:
    other = {"wire": "anthropic", "data": {"type": "thinking", "thinking": "so", "signature": "two"}}
    log = (
        Reasoning("hm", 0, 0),
        Reasoning("", 0, 0, SIGNED),
        Reasoning("so", 0, 1),
        Reasoning("", 0, 1, other),
        Text("a", 0, 2),
    )
    whole = choices_of([STARTED, *log])[0]
    assert content_of(wire, *unfold(whole)) == content_of(wire, *log)


def test_a_servers_tool_comes_back_as_it_was(wire: Wire) -> None:
    use = {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {"query": "x"}}
    result = {"type": "web_search_tool_result", "tool_use_id": "srv", "content": []}
    log = (Opaque(use, "anthropic", 0, 0), Opaque(result, "anthropic", 0, 1), Text("a", 0, 2))
    found = content_of(wire, *log)
    assert [block["type"] for block in found] == ["server_tool_use", "web_search_tool_result", "text"]
    assert found[0]["input"] == {"query": "x"}
    assert found[1]["content"] == []


def test_citations_stand_at_their_text(wire: Wire) -> None:
    own = {
        "type": "web_search_result_location",
        "url": "https://a.example",
        "title": "A",
        "cited_text": "a",
        "encrypted_index": "x",
    }
    foreign = {
        "type": "url_citation",
        "url_citation": {"url": "https://b.example", "title": "B", "start_index": 0, "end_index": 1},
    }
    (block,) = content_of(wire, Text("a"), Citation(own, "anthropic"), Citation(foreign, "openai"))
    assert block["citations"] == [
        own,
        {**own, "url": "https://b.example", "title": "B", "cited_text": "", "encrypted_index": ""},
    ]


def test_what_another_wire_wants_back_travels_sealed(wire: Wire) -> None:
    signature = {"wire": "gemini", "data": {"thoughtSignature": "c2ln"}}
    log = (
        Text("a", 0, 0, None, signature),
        Text("b", 0, 0),
        ToolCallDelta(0, "c", "now", "{}", 0, 1, opaque=signature),
    )
    text, one, two, call = content_of(wire, *log)
    assert (text["text"], call["type"]) == ("ab", "tool_use")
    first, second = unpack(one["data"], ""), unpack(two["data"], "")
    assert first is not None
    assert second is not None
    assert (first.opaque, first.call) == (signature, None)
    assert (second.opaque, second.call) == (signature, "c")


def test_parallel_calls_come_one_after_another_and_a_text_between_waits(wire: Wire) -> None:
    log = (
        ToolCallDelta(0, "a", "one", '{"x":'),
        ToolCallDelta(1, "b", "two", ""),
        Text("meanwhile"),
        ToolCallDelta(1, arguments="{}"),
        ToolCallDelta(0, arguments="1}"),
    )
    assert [(block["type"], block.get("input")) for block in content_of(wire, *log)] == [
        ("tool_use", {"x": 1}),
        ("tool_use", {}),
        ("text", None),
    ]


def test_a_call_is_told_whole_as_soon_as_another_begins() -> None:
    encoder = MessageEncoder()
    told = [
        encoder.entry(n, event)
        for n, event in enumerate([STARTED, ToolCallDelta(0, "a", "one", "{}"), ToolCallDelta(1, "b", "two", "{")], 1)
    ]
    assert b'"content_block_stop","index":0' in told[2]
    assert b'"partial_json":"{"' in told[2]


def test_images_come_as_blocks(wire: Wire) -> None:
    inline, served = content_of(wire, Image(IMAGE), Image("/api/files/1"))
    assert inline["source"] == {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    assert served["source"] == {"type": "url", "url": "/api/files/1"}


def test_a_call_that_was_cut_keeps_what_came() -> None:
    log: list[Event] = [STARTED, ToolCallDelta(0, "a", "one", '{"x":'), Ended("cancelled", (), Usage())]
    assert json.loads(message(log))["content"][0]["input"] == {"arguments": '{"x":'}


@pytest.mark.parametrize(
    ("finish", "reason", "sequence"),
    [
        (Finish("stop"), "end_turn", None),
        (Finish("stop", native="pause_turn"), "pause_turn", None),
        (Finish("stop", native="stop_sequence", stop_sequence="END"), "stop_sequence", "END"),
        (Finish("stop", native="stop", stop_sequence="END"), "stop_sequence", "END"),
        (Finish("length"), "max_tokens", None),
        (Finish("length", native="model_context_window_exceeded"), "model_context_window_exceeded", None),
        (Finish("tool_calls", native="tool_calls"), "tool_use", None),
        (Finish("content_filter"), "refusal", None),
        (Finish("content_filter", native="end_turn"), "refusal", None),
    ],
)
def test_the_reason_is_in_anthropics_words(finish: Finish, reason: str, sequence: str | None) -> None:
    log: list[Event] = [STARTED, Text("a"), Ended("completed", (finish,), Usage(1, 1))]
    found = json.loads(message(log))
    assert (found["stop_reason"], found["stop_sequence"]) == (reason, sequence)


def test_the_head_carries_our_ids_and_the_tail_the_counts() -> None:
    usage = Usage(10, 5, cached=4, cache_write=1, reasoning=2)
    log: list[Event] = [KEPT, Text("a"), Ended("cancelled", (Finish("stop"),), usage)]
    start, *_, delta, stop = events_of(log)
    assert start["message"]["id"] == f"msg_{GENERATION}"
    assert start["message"]["generation_id"] == GENERATION
    assert start["message"]["conversation_id"] == KEPT.conversation_id
    assert start["message"]["content"] == []
    assert delta["usage"] == {
        "input_tokens": 5,
        "cache_creation_input_tokens": 1,
        "cache_read_input_tokens": 4,
        "output_tokens": 5,
        "output_tokens_details": {"thinking_tokens": 2},
    }
    assert delta["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert delta["status"] == "cancelled"
    assert stop == {"type": "message_stop"}
    assert MessageEncoder.done == b""


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("upstream_truncated", "api_error"),
        ("provider_unavailable", "overloaded_error"),
        ("upstream_timeout", "timeout_error"),
        ("rate_limited", "rate_limit_error"),
        ("insufficient_credits", "billing_error"),
        ("model_not_found", "not_found_error"),
        ("body_too_large", "request_too_large"),
        ("invalid", "invalid_request_error"),
        ("missing_credential", "authentication_error"),
        ("forbidden", "permission_error"),
    ],
)
def test_a_failure_is_an_error_event_that_the_sdk_raises(wire: Wire, code: str, kind: str) -> None:
    log: list[Event] = [KEPT, Text("a"), Ended("failed", (), Usage(), Fault(code, "It broke."), partial=True)]
    wire.lay(stream_of(MessageEncoder(), log))
    with pytest.raises(anthropic.APIStatusError) as raised:
        list(wire.anthropic.messages.create(model="m", max_tokens=9, messages=MESSAGES, stream=True))
    body: Any = raised.value.body
    assert body["type"] == "error"
    assert body["request_id"] == "req-1"
    assert body["error"]["type"] == kind
    assert body["error"]["code"] == code
    assert body["error"]["details"]["partial"] is True
    assert json.loads(error_body(code, "It broke.", None, "r"))["error"]["type"] == kind


@given(log=logs())
@quiet
def test_a_gap_is_told_as_blocks_to_who_has_nothing_yet(wire: Wire, log: list[Event]) -> None:
    encoder, choice = MessageEncoder(), choices_of(log)[0]
    gap = Gap(1, len(log) - 1, (choice,), "folded")
    body = encoder.entry(1, log[0]) + encoder.gap(gap) + encoder.entry(len(log), log[-1])
    found = accumulated(wire, body)
    assert "".join(block.text for block in found.content if block.type == "text") == choice.text + choice.refusal


def test_a_gap_that_would_have_to_take_back_is_an_error(wire: Wire) -> None:
    encoder = MessageEncoder()
    body = encoder.entry(1, STARTED) + encoder.entry(2, Text("a")) + encoder.gap(Gap(9, 2, (Choice("a"),), "slow"))
    wire.lay(body)
    with pytest.raises(anthropic.APIStatusError, match="read too slowly"):
        list(wire.anthropic.messages.create(model="m", max_tokens=9, messages=MESSAGES, stream=True))


def test_other_choices_are_not_shown() -> None:
    log: list[Event] = [STARTED, Text("a"), Text("b", 1), Ended("completed", (Finish("stop"), Finish("stop", 1)))]
    assert [block["text"] for block in json.loads(message(log))["content"]] == ["a"]


def test_a_continued_answer_begins_with_what_there_was() -> None:
    log: list[Event] = [Started(GENERATION, "m", 0, text="Once "), Text("upon"), Ended("completed")]
    assert json.loads(message(log))["content"] == [{"type": "text", "text": "Once upon"}]


def test_a_custom_tools_input_is_an_object(wire: Wire) -> None:
    log = (ToolCallDelta(0, "c", "sh", "ls", kind="custom"), ToolCallDelta(0, arguments=' "-l"', kind="custom"))
    (block,) = content_of(wire, *log)
    assert block["input"] == {"input": 'ls "-l"'}
