import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response

from tertulia.faces.responses.encode import ResponseEncoder, after, response
from tertulia.turn.events import (
    Citation,
    Ended,
    Event,
    Fault,
    Finish,
    Image,
    Opaque,
    Reasoning,
    Refusal,
    Started,
    Text,
    ToolCallDelta,
)
from tertulia.turn.fold import Choice, Gap
from tertulia.turn.usage import Usage
from tertulia.wire.replay import unpack
from tertulia.wire.responses import echoed
from tests.faces_wire.frames import Wire, read_frames, require_ids, stream_of
from tests.faces_wire.logs import GENERATION, IMAGE, KEPT, STARTED, choices_of, logs, quiet, token


def events_of(log: list[Event]) -> list[dict[str, Any]]:
    *frames, last = read_frames(stream_of(ResponseEncoder(), log))
    assert last == (None, "", "[DONE]")
    return [json.loads(data) for _, _, data in frames]


def streamed(wire: Wire, body: bytes) -> list[Any]:
    wire.lay(body)
    with wire.openai.responses.stream(model="m", input="Hi") as stream:
        return list(stream)


def output_of(*log: Event) -> list[dict[str, Any]]:
    return response([STARTED, *log, Ended("completed", (Finish("stop"),), Usage())])["output"]


def part_texts(found: dict[str, Any], kind: str, field: str) -> str:
    parts = [part for item in found["output"] for part in item.get("content") or item.get("summary") or ()]
    return "".join(part[field] for part in parts if part["type"] == kind)


@given(log=logs(outcomes=("completed", "cancelled")), beats=st.booleans())
@quiet
def test_the_sdk_reads_a_stream_to_the_fold(wire: Wire, log: list[Event], *, beats: bool) -> None:
    events = streamed(wire, stream_of(ResponseEncoder(), log, heartbeats=beats))
    choice, last = choices_of(log)[0], events[-1]
    assert last.type in {"response.completed", "response.incomplete"}
    found = last.response.to_dict(warnings=False)
    assert part_texts(found, "output_text", "text") == choice.text
    assert part_texts(found, "refusal", "refusal") == choice.refusal
    assert part_texts(found, "summary_text", "text") == choice.reasoning
    calls = [(i["call_id"], i["name"], i["arguments"]) for i in found["output"] if i["type"] == "function_call"]
    assert calls == [(call.id, call.function.name, call.function.arguments) for call in choice.tool_calls]
    images = [item for item in found["output"] if item["type"] == "image_generation_call"]
    assert len(images) == len(choice.images)
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == choice.text
    assert "".join(e.delta for e in events if e.type == "response.reasoning_summary_text.delta") == choice.reasoning
    assert [event.sequence_number for event in events] == list(range(len(events)))
    ended = log[-1]
    assert isinstance(ended, Ended)
    assert ended.usage is not None
    assert found["usage"]["total_tokens"] == ended.usage.total


@given(log=logs(outcomes=("completed", "cancelled", "failed", "interrupted")))
@quiet
def test_the_whole_response_is_the_streams_last_word(log: list[Event]) -> None:
    assert response(log) == events_of(log)[-1]["response"]


@given(log=logs(outcomes=("completed", "cancelled")))
@quiet
def test_the_sdk_reads_a_whole_response(wire: Wire, log: list[Event]) -> None:
    wire.lay(json.dumps(response(log)).encode(), "application/json")
    found = wire.openai.responses.create(model="m", input="Hi")
    assert found.output_text == choices_of(log)[0].text
    assert Response.model_validate(response(log))


@given(log=logs(outcomes=("completed", "cancelled", "failed", "interrupted")))
@quiet
def test_each_entry_has_one_id_and_the_same_bytes(log: list[Event]) -> None:
    require_ids(ResponseEncoder, log)


@given(log=logs())
@quiet
def test_items_and_parts_are_added_before_they_grow_and_done_once(log: list[Event]) -> None:
    state: dict[str, list[Any]] = {"item": [], "part": []}
    for event in events_of(log):
        match re.fullmatch(r"response\.(output_item|content_part|reasoning_summary_part)\.(added|done)", event["type"]):
            case None:
                if event["type"].endswith(".delta") or "annotation" in event["type"]:
                    assert state["item"] == [event["output_index"]]
                    parted = "arguments" not in event["type"] and "input" not in event["type"]
                    assert len(state["part"]) == (1 if parted else 0)
            case found:
                kind = "item" if found[1] == "output_item" else "part"
                place = event["output_index"], event.get("content_index", event.get("summary_index"))
                key = place[0] if kind == "item" else place
                if found[2] == "added":
                    assert state[kind] == []
                    state[kind].append(key)
                else:
                    assert state[kind].pop() == key
    assert state == {"item": [], "part": []}


@given(log=logs(outcomes=("completed", "failed")), cut=st.integers(0, 60))
@quiet
def test_a_stream_goes_on_after_any_sequence_number(log: list[Event], cut: int) -> None:
    body = stream_of(ResponseEncoder(), log)
    numbers = [json.loads(data)["sequence_number"] for _, _, data in read_frames(after(body, cut)) if data != "[DONE]"]
    total = len(events_of(log))
    assert numbers == list(range(cut + 1, total))
    assert after(body, -1) == body


@given(log=logs())
@quiet
def test_a_response_can_be_looked_at_while_it_grows(log: list[Event]) -> None:
    for n in range(1, len(log)):
        found = response(log[:n])
        assert found["status"] == "in_progress"
        assert found["usage"] is None
        Response.model_validate({**found, "output": []})
    plain = [STARTED, Reasoning("h"), Text("He"), Text("llo")]
    assert part_texts(response(plain), "output_text", "text") == "Hello"
    assert response([STARTED, ToolCallDelta(0, "c", "now", '{"a"')])["output"][0]["arguments"] == '{"a"'


def test_the_events_of_a_plain_answer_are_the_apis() -> None:
    log: list[Event] = [
        STARTED,
        Reasoning("hm"),
        Text("Hel"),
        Text("lo"),
        Ended("completed", (Finish("stop"),), Usage(1, 2)),
    ]
    assert [event["type"] for event in events_of(log)] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    frames = read_frames(stream_of(ResponseEncoder(), log))[:-1]
    assert all(name == json.loads(data)["type"] for _, name, data in frames)


def test_a_call_is_told_in_fragments_and_done() -> None:
    log: list[Event] = [
        STARTED,
        ToolCallDelta(0, "c", "now", '{"a":'),
        ToolCallDelta(0, arguments="1}"),
        Ended("completed"),
    ]
    added, *deltas, done, item, _ = events_of(log)[2:]
    assert added["item"] == {
        "id": f"fc_{GENERATION}_0",
        "type": "function_call",
        "call_id": "c",
        "name": "now",
        "arguments": "",
        "status": "in_progress",
    }
    assert [delta["delta"] for delta in deltas] == ['{"a":', "1}"]
    assert done["type"] == "response.function_call_arguments.done"
    assert done["arguments"] == item["item"]["arguments"] == '{"a":1}'
    assert item["item"]["status"] == "completed"


def test_a_custom_tools_input_keeps_its_form() -> None:
    log: list[Event] = [STARTED, ToolCallDelta(0, "c", "sh", "ls", kind="custom"), Ended("completed")]
    types = [event["type"] for event in events_of(log)]
    assert "response.custom_tool_call_input.delta" in types
    (item,) = response(log)["output"]
    assert (item["type"], item["input"]) == ("custom_tool_call", "ls")


def test_sources_and_probabilities_stand_at_their_text() -> None:
    foreign = Citation(
        {"type": "web_search_result_location", "url": "https://b.example", "title": "B", "cited_text": "b"}, "anthropic"
    )
    own = Citation(
        {
            "type": "url_citation",
            "url_citation": {"url": "https://a.example", "title": "A", "start_index": 0, "end_index": 1},
        },
        "openai",
    )
    (item,) = output_of(Text("a", logprobs={"content": [token], "refusal": None}), own, foreign)
    (part,) = item["content"]
    assert part["annotations"] == [
        {"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0, "end_index": 1},
        {
            "type": "url_citation",
            "url": "https://b.example",
            "title": "B",
            "start_index": 0,
            "end_index": 0,
            "content": "b",
        },
    ]
    assert part["logprobs"] == [token]


def test_a_refusal_is_a_part_of_the_message() -> None:
    (item,) = output_of(Text("a"), Refusal("No"), Refusal("."))
    assert [(part["type"], part.get("text", part.get("refusal"))) for part in item["content"]] == [
        ("output_text", "a"),
        ("refusal", "No."),
    ]


def test_images_are_results_of_a_call() -> None:
    inline, served = output_of(Image(IMAGE), Image("/api/files/1"))
    assert (inline["type"], inline["status"], inline["result"]) == (
        "image_generation_call",
        "completed",
        "iVBORw0KGgo=",
    )
    assert (served["result"], served["url"]) == (None, "/api/files/1")


def test_what_must_be_replayed_is_sealed_in_reasoning() -> None:
    signed = {"wire": "anthropic", "data": {"type": "thinking", "thinking": "hm", "signature": "s"}}
    other = {"wire": "gemini", "data": {"thoughtSignature": "c2ln"}}
    block = {"type": "server_tool_use", "id": "s"}
    log = (
        Reasoning("hm"),
        Reasoning("", opaque=signed),
        ToolCallDelta(0, "c", "now", "{}", opaque=other),
        Opaque(block, "anthropic", part=3),
    )
    found = output_of(*log)
    assert [item["type"] for item in found] == ["reasoning", "reasoning", "function_call", "reasoning"]
    sealed = [unpack(item["encrypted_content"], "") for item in found if item["type"] == "reasoning"]
    assert [(each.opaque, each.part, each.call) for each in sealed if each is not None] == [
        (signed, 0, None),
        (other, 0, "c"),
        ({"wire": "anthropic", "data": block}, 3, None),
    ]
    assert found[0]["summary"] == [{"type": "summary_text", "text": "hm"}]


@pytest.mark.parametrize(
    ("ended", "event", "status", "reason"),
    [
        (Ended("completed", (Finish("stop"),)), "completed", "completed", None),
        (Ended("completed", (Finish("tool_calls"),)), "completed", "completed", None),
        (Ended("completed", (Finish("length"),)), "incomplete", "incomplete", "max_output_tokens"),
        (Ended("completed", (Finish("content_filter"),)), "incomplete", "incomplete", "content_filter"),
        (Ended("cancelled", (Finish("stop"),)), "incomplete", "cancelled", None),
        (Ended("failed", (), None, Fault("upstream_error", "It broke."), partial=True), "failed", "failed", None),
        (Ended("interrupted", (), None, Fault("interrupted", "It died.")), "failed", "failed", None),
    ],
)
def test_each_ending_has_its_event_and_its_status(ended: Ended, event: str, status: str, reason: str | None) -> None:
    last = events_of([KEPT, Text("a"), ended])[-1]
    assert last["type"] == f"response.{event}"
    found = last["response"]
    assert found["status"] == status
    assert found["incomplete_details"] == ({"reason": reason} if reason else None)
    assert found["output"][0]["status"] == ("completed" if ended.outcome == "completed" else "incomplete")
    if ended.fault is None:
        assert found["error"] is None
    else:
        assert (found["error"]["code"], found["error"]["message"]) == (ended.fault.code, ended.fault.message)
        assert found["error"]["details"]["generationId"] == GENERATION


def test_a_response_repeats_its_request_and_carries_our_ids() -> None:
    tools = [{"type": "function", "name": "now", "parameters": {}, "strict": None}]
    echo = echoed({"instructions": "Be brief.", "temperature": 0.5, "tools": tools, "input": "Hi", "top_p": None})
    found = response(
        [KEPT, Ended("completed", (Finish("stop"),), Usage(5, 4, 3, 2, 1, estimated=True), ended_at=7_000_000)], echo
    )
    assert found["id"] == f"resp_{GENERATION}"
    assert (found["instructions"], found["temperature"], found["tools"]) == ("Be brief.", 0.5, tools)
    assert (found["parallel_tool_calls"], found["tool_choice"], found["top_p"]) == (True, "auto", None)
    assert "input" not in found
    assert found["conversation_id"] == KEPT.conversation_id
    assert found["message_id"] == KEPT.message_id
    assert found["generation_id"] == GENERATION
    assert (found["created_at"], found["completed_at"]) == (1_700_000_000, 7)
    assert found["usage"] == {
        "input_tokens": 5,
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 9,
        "estimated": True,
    }


@given(log=logs())
@quiet
def test_a_gap_is_told_as_items_to_who_has_nothing_yet(wire: Wire, log: list[Event]) -> None:
    encoder, choice = ResponseEncoder(), choices_of(log)[0]
    gap = Gap(1, len(log) - 1, (choice,), "folded")
    events = streamed(wire, encoder.entry(1, log[0]) + encoder.gap(gap) + encoder.entry(len(log), log[-1]))
    assert part_texts(events[-1].response.to_dict(warnings=False), "output_text", "text") == choice.text


def test_a_gap_that_would_have_to_take_back_is_an_error(wire: Wire) -> None:
    encoder = ResponseEncoder()
    body = encoder.entry(1, STARTED) + encoder.entry(2, Text("a")) + encoder.gap(Gap(9, 2, (Choice("a"),), "crash"))
    last = streamed(wire, body)[-1]
    assert (last.type, last.code) == ("error", "interrupted")
    assert f"/api/generations/{GENERATION}" in last.message


def test_a_continued_answer_begins_with_what_there_was() -> None:
    log: list[Event] = [Started(GENERATION, "m", 0, text="Once "), Text("upon"), Ended("completed")]
    assert part_texts(response(log), "output_text", "text") == "Once upon"


def test_a_log_without_a_beginning_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="Started"):
        response([Text("a")])
