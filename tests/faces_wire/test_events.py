import json
from typing import Any, Literal

import pytest
from hypothesis import given
from openai.lib.streaming._deltas import accumulate_delta

from tertulia.faces.generations.encode import EventEncoder
from tertulia.turn.content import Function, ToolCall
from tertulia.turn.events import (
    Attempt,
    Ended,
    Event,
    Fault,
    Finish,
    Image,
    Opaque,
    Queued,
    Reasoning,
    Started,
    Text,
    ToolCallDelta,
    UsageSeen,
    number,
)
from tertulia.turn.fold import Choice, Gap
from tertulia.turn.usage import Usage
from tests.faces_wire.frames import read_frames, require_ids, stream_of
from tests.faces_wire.logs import GENERATION, IMAGE, KEPT, STARTED, choices_of, logs, quiet

Terminal = Literal["events", "session"]


def shown(log: list[Event], terminal: Terminal = "events") -> list[tuple[str | None, str, Any]]:
    *frames, last = read_frames(stream_of(EventEncoder(terminal), log))
    assert last == (None, "", "[DONE]")
    return [(number, name, json.loads(data)) for number, name, data in frames]


@given(log=logs(most_choices=3, outcomes=("completed", "cancelled")))
@quiet
def test_deltas_accumulate_to_the_fold(log: list[Event]) -> None:
    messages: dict[int, dict[Any, Any]] = {}
    for _, name, data in shown(log):
        for choice in data["choices"] if name == "message" else ():
            accumulate_delta(messages.setdefault(choice["index"], {}), choice["delta"])
    for index, choice in enumerate(choices_of(log)):
        message = messages.get(index, {})
        assert message.get("content", "") == choice.text
        assert message.get("reasoning_content", "") == choice.reasoning
        assert message.get("refusal", "") == choice.refusal
        calls = [
            (call["id"], call["function"]["name"], call["function"]["arguments"])
            for call in message.get("tool_calls", ())
        ]
        assert calls == [(call.id, call.function.name, call.function.arguments) for call in choice.tool_calls]
        assert [each["image_url"]["url"] for each in message.get("images", ())] == list(choice.images)


@given(log=logs(most_choices=2, outcomes=("completed", "cancelled", "failed", "interrupted")))
@quiet
def test_each_entry_has_one_id_and_the_same_bytes(log: list[Event]) -> None:
    require_ids(lambda: EventEncoder("events"), log)
    require_ids(lambda: EventEncoder("session"), log)


@given(log=logs(most_choices=2, outcomes=("completed", "cancelled", "failed", "interrupted")))
@quiet
def test_sessions_and_events_differ_in_the_terminal_only(log: list[Event]) -> None:
    one, other = stream_of(EventEncoder("events"), log), stream_of(EventEncoder("session"), log)
    assert one.split(b"\n\n")[:-3] == other.split(b"\n\n")[:-3]


def test_the_frames_are_the_contracts() -> None:
    started = Started(
        GENERATION,
        "m",
        1_700_000_000_123_000,
        conversation_id="c",
        message_id="a",
        user_message_id="u",
        message_ids=("a", "b"),
        user_message={"id": "u"},
        assistant_message={"id": "a"},
    )
    log: list[Event] = [
        started,
        Queued(2, 900),
        Text("Hel"),
        Ended("completed", (Finish("stop"),), Usage(3, 4, 1, 0, 2, estimated=True), credits="0.5"),
    ]
    encoder = EventEncoder("events")
    assert b"".join(encoder.entry(n, event) for n, event in enumerate(log, 1)) == (
        b'id: 1\nevent: start\ndata: {"generationId":"0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee","conversationId":"c",'
        b'"messageId":"a","userMessageId":"u","messageIds":["a","b"],"model":"m","createdAt":"2023-11-14T22:13:20.123Z",'
        b'"userMessage":{"id":"u"},"assistantMessage":{"id":"a"}}\n\n'
        b'id: 2\nevent: queued\ndata: {"position":2,"estimatedWaitMs":900}\n\n'
        b'id: 3\nevent: message\ndata: {"choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n'
        b'id: 4\nevent: completed\ndata: {"status":"completed","finishReason":"stop","usage":{"promptTokens":3,'
        b'"completionTokens":4,"totalTokens":7,"cachedTokens":1,"reasoningTokens":2,"estimated":true},'
        b'"credits":{"charged":"0.5"},"messageId":"a"}\n\n'
    )
    assert encoder.done == b"data: [DONE]\n\n"
    assert encoder.heartbeat.startswith(b":")


def test_ids_carry_the_epoch_of_their_writer() -> None:
    encoder = EventEncoder("events")
    encoder.entry(1, STARTED)
    assert encoder.entry(number(1, 7), Text("a")).startswith(b"id: 4294967303\nevent: message\n")
    assert encoder.entry(number(1, 8), Reasoning("a")).startswith(b"id: 4294967304\nevent: message\n")


@pytest.mark.parametrize(
    ("ended", "events", "session"),
    [
        (Ended("completed", (Finish("length"),), Usage(1, 1)), "completed", "done"),
        (Ended("cancelled", (), Usage(1, 1)), "cancelled", "done"),
        (Ended("failed", (), Usage(1, 1), Fault("upstream_truncated", "It was cut."), partial=True), "failed", "error"),
        (Ended("interrupted", (), Usage(1, 1), Fault("interrupted", "It died.")), "interrupted", "error"),
    ],
)
def test_each_ending_has_its_name_and_its_data(ended: Ended, events: str, session: str) -> None:
    _, name, data = shown([KEPT, ended])[-1]
    assert name == events
    assert data["status"] == ended.outcome
    assert data["finishReason"] == ended.finish_reason
    assert data["messageId"] == KEPT.message_id
    assert ("error" in data) is (ended.fault is not None)
    _, name, told = shown([KEPT, ended], "session")[-1]
    assert name == session
    assert told["status"] == ended.outcome
    if ended.fault is None:
        assert told["userMessageId"] == KEPT.user_message_id
        return
    assert data["error"]["code"] == told["code"] == ended.fault.code
    assert data["error"]["message"] == told["message"] == ended.fault.message
    assert (told["requestId"], told["generationId"]) == ("req-1", GENERATION)
    assert told["details"].get("partial", False) is ended.partial


def test_an_attempt_is_shown_when_a_provider_is_given_up() -> None:
    plain: list[Event] = [STARTED, Attempt("p", "m", "answering", 0), Text("a"), Ended("completed")]
    assert [name for _, name, _ in shown(plain)] == ["start", "message", "completed"]
    failed = Attempt("p", "m", "failed", 0, code="upstream_timeout")
    log: list[Event] = [
        STARTED,
        failed,
        Attempt("q", "n", "answering", 0),
        Text("a"),
        UsageSeen(Usage(1, 2)),
        Ended("completed"),
    ]
    frames = shown(log)
    assert [name for _, name, _ in frames] == ["start", "attempt", "attempt", "message", "usage", "completed"]
    assert frames[1][2] == {"provider": "p", "model": "m", "status": "failed", "code": "upstream_timeout"}
    assert frames[4][2] == {"promptTokens": 1, "completionTokens": 2, "totalTokens": 3}


def test_a_gap_replaces_everything_and_is_resumed_from_its_end() -> None:
    call = ToolCall("c", Function("now", "{}"))
    whole = Choice("Hello", "hm", "", (call,), (IMAGE,))
    told = EventEncoder("events").gap(Gap(number(0, 57), number(1, 12), (whole,), "crash"))
    ((at, name, data),) = read_frames(told)
    assert (at, name) == (str(number(1, 12)), "gap")
    assert json.loads(data) == {
        "from": "57",
        "to": str(number(1, 12)),
        "text": "Hello",
        "reasoning": "hm",
        "toolCalls": [{"id": "c", "type": "function", "function": {"name": "now", "arguments": "{}"}}],
        "images": [IMAGE],
        "reason": "crash",
    }
    many = json.loads(read_frames(EventEncoder("events").gap(Gap(0, 5, (Choice("a"), Choice("b")), "folded")))[0][2])
    assert many["choices"] == [{"index": 0, "text": "a"}, {"index": 1, "text": "b"}]


def test_a_gap_for_one_reader_changes_nothing_for_the_others() -> None:
    log: list[Event] = [STARTED, Image(IMAGE), ToolCallDelta(0, "c", "now", "{"), Image(IMAGE), Ended("completed")]
    one, other = EventEncoder("events"), EventEncoder("events")
    for n, event in enumerate(log, 1):
        assert one.entry(n, event) == other.entry(n, event)
        other.gap(Gap(900, n, choices_of(log[:n]), "crash"))


def test_after_a_gap_in_the_log_itself_a_call_goes_on() -> None:
    encoder = EventEncoder("events")
    encoder.entry(1, STARTED)
    encoder.gap(Gap(0, 4, (Choice(tool_calls=(ToolCall("c", Function("now", "{")),)),), "crash"))
    more = json.loads(read_frames(encoder.entry(number(1, 5), ToolCallDelta(0, "c", "now", "}")))[0][2])
    assert more["choices"][0]["delta"]["tool_calls"] == [{"index": 0, "function": {"arguments": "}"}}]


def test_a_continued_answer_tells_what_it_goes_on_from() -> None:
    _, name, data = shown([Started(GENERATION, "m", 0, text="Once "), Ended("completed")])[0]
    assert name == "start"
    assert data["text"] == "Once "


def test_sources_of_a_host_stand_beside_the_choices() -> None:
    log: list[Event] = [STARTED, Opaque({"citations": ["https://a.example"]}, "openai"), Ended("completed")]
    assert shown(log)[1][2] == {"choices": [{"index": 0, "delta": {}}], "citations": ["https://a.example"]}
