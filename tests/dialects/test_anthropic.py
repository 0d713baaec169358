"""Anthropic's wire."""

import json
from typing import Any

import msgspec
import pytest

from tertulia.kernel.errors import Invalid
from tertulia.kernel.secret import Secret
from tertulia.providers.dialects.anthropic.dialect import Anthropic
from tertulia.providers.port import Finished, Profile
from tertulia.turn.content import AudioPart, FilePart, Function, ImagePart, ImageUrl, Message, Part, TextPart, ToolCall
from tertulia.turn.events import Finish, Opaque, Reasoning, UsageSeen
from tertulia.turn.request import Request
from tertulia.turn.usage import Usage


def stream(*events: dict[str, Any]) -> bytes:
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()


START = {"type": "message_start", "message": {"usage": {"input_tokens": 3, "output_tokens": 1}}}
TEXT = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "half"}}
STOP = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}


def test_thinking_with_signature_redacted_thinking_and_parallel_tools(recorded):
    answer = recorded("anthropic_thinking_tools.sse")
    assert (answer.choice.reasoning, answer.choice.text) == ("The lamp is lit 灯.", "Let me look. 👋🏽")
    assert [call.to_wire()["function"] for call in answer.choice.tool_calls] == [
        {"name": "weather", "arguments": '{"city": "Köln"}'},
        {"name": "time", "arguments": "{}"},
    ]
    assert [call.id for call in answer.choice.tool_calls] == ["toolu_1", "toolu_2"]
    assert [kept["data"] for kept in answer.choice.opaque] == [
        {"type": "thinking", "thinking": "The lamp is lit 灯.", "signature": "EqQBCg=="},
        {"type": "redacted_thinking", "data": "EmwK"},
    ]
    assert answer.folded.usage == Usage(prompt=35, completion=89, cached=20, cache_write=5)
    assert answer.how == Finished((Finish("tool_calls", 0, "tool_use"),))


def test_the_prompts_count_is_told_at_once(recorded):
    assert recorded("anthropic_thinking_tools.sse").events[0] == UsageSeen(Usage(35, 1, 20, 5))


def test_server_tools_and_citations(recorded):
    answer = recorded("anthropic_search.sse")
    blocks = [event.data for event in answer.events if isinstance(event, Opaque)]
    assert [block["type"] for block in blocks] == ["server_tool_use", "web_search_tool_result"]
    assert blocks[0]["input"] == {"query": "rye bread"}
    assert answer.choice.text == "Rye is dark."
    assert (answer.choice.citations[0].wire, answer.choice.citations[0].data["cited_text"]) == (
        "anthropic",
        "Rye is dark.",
    )
    assert answer.how == Finished((Finish("stop", 0, "stop_sequence", "END"),))
    assert answer.folded.usage == Usage(prompt=900, completion=30)


def test_a_whole_message(recorded):
    answer = recorded("anthropic_whole.json")
    assert (answer.choice.reasoning, answer.choice.text) == ("hm", "Olá")
    assert answer.choice.tool_calls == (ToolCall("toolu_9", Function("f", '{"a":[1,2]}')),)
    assert answer.choice.opaque[0]["data"] == {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    assert answer.folded.usage == Usage(prompt=6, completion=5, cached=2, cache_write=1)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("end_turn", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
    ],
)
def test_reasons(read, word, reason):
    end = {"type": "message_delta", "delta": {"stop_reason": word}, "usage": {}}
    assert read("anthropic", stream(START, TEXT, end, {"type": "message_stop"})).how == Finished(
        (Finish(reason, 0, word),)
    )


@pytest.mark.parametrize("events", [[START, TEXT], [START, TEXT, STOP]])
def test_an_end_without_message_stop_is_a_cut(read, events):
    answer = read("anthropic", stream(*events))
    assert (answer.code, answer.choice.text) == ("upstream_truncated", "half")


@pytest.mark.parametrize(
    ("kind", "code", "retry"),
    [
        ("overloaded_error", "provider_unavailable", True),
        ("api_error", "upstream_error", True),
        ("rate_limit_error", "rate_limited", True),
        ("invalid_request_error", "invalid", False),
        ("authentication_error", "upstream_error", False),
    ],
)
def test_an_error_after_200(read, kind, code, retry):
    error = {"type": "error", "error": {"type": kind, "message": "sorry"}}
    answer = read("anthropic", stream(START, TEXT, error))
    assert (answer.code, answer.how.retry, answer.choice.text) == (code, retry, "half")


@pytest.mark.parametrize(
    "body", [b'{"type":"error","error":{"type":"api_error","message":"x"}}', b"{}", b"<html>", b"7"]
)
def test_a_whole_body_that_is_no_message(read, body):
    assert read("anthropic", body, streamed=False).code in {"upstream_error", "upstream_invalid"}


def test_a_thinking_block_that_was_not_ended_is_kept(read):
    events = [
        START,
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}},
        STOP,
        {"type": "message_stop"},
    ]
    answer = read("anthropic", stream(*events))
    assert answer.events[1] == Reasoning("hm")
    assert answer.choice.opaque[0]["data"]["signature"] == "s"


def test_nulls_and_unknown_events_are_borne(read):
    events = [
        START,
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a", "thinking": None}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "novel_delta", "wave": 1}},
        {"type": "novelty", "x": [1]},
        STOP,
        {"type": "message_stop"},
    ]
    assert read("anthropic", stream(*events)).choice.text == "a"


# Requests


def encoded(messages: list[Message], profile: Profile | None = None, *, stream: bool = False, **parameters: Any) -> Any:
    request = Request(tuple(messages), parameters, stream)
    return msgspec.json.decode(Anthropic().encode(request, "m", profile or Profile()).body)


def dropped(profile: Profile | None = None, **parameters: Any) -> tuple[str, ...]:
    request = Request((Message("user", "hi"),), parameters, stream=False)
    return Anthropic().encode(request, "m", profile or Profile()).dropped


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def test_instructions_go_to_the_top_and_neighbours_are_one_turn():
    body = encoded(
        [
            Message("system", "be brief"),
            Message("user", "a"),
            Message("user", "b", name="Ana"),
            Message("assistant", "c"),
            Message("developer", "be kind"),
            Message("user", ""),
            Message("user", "d"),
        ]
    )
    assert body["system"] == [text("be brief"), text("be kind")]
    assert body["messages"] == [
        {"role": "user", "content": [text("a"), text("Ana: b")]},
        {"role": "assistant", "content": [text("c")]},
        {"role": "user", "content": [text("d")]},
    ]
    assert body["max_tokens"] == 4096


def test_one_plain_instruction_is_a_string_and_a_marked_one_stays_a_block():
    assert encoded([Message("system", "x"), Message("user", "a")])["system"] == "x"
    marked = TextPart("x", cache_control={"type": "ephemeral"})
    assert encoded([Message("system", [marked]), Message("user", "a")])["system"] == [
        {**text("x"), "cache_control": {"type": "ephemeral"}}
    ]


def test_a_prompt_that_begins_with_the_assistant_gets_a_first_turn_and_a_trimmed_prefill():
    body = encoded([Message("assistant", "Once upon ")])
    assert body["messages"] == [
        {"role": "user", "content": [text("…")]},
        {"role": "assistant", "content": [text("Once upon")]},
    ]


def test_a_tool_round_trip_replays_thinking_unchanged(recorded):
    choice = recorded("anthropic_thinking_tools.sse").choice
    body = encoded(
        [
            Message("user", "weather?"),
            Message("assistant", choice.text, tool_calls=list(choice.tool_calls), opaque=choice.opaque),
            Message("user", "hurry"),
            Message("tool", "rain", tool_call_id="toolu_1"),
            Message("tool", "late", tool_call_id="toolu_2", extra={"is_error": True}),
        ]
    )
    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "The lamp is lit 灯.", "signature": "EqQBCg=="},
        {"type": "redacted_thinking", "data": "EmwK"},
        text("Let me look. 👋🏽"),
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Köln"}},
        {"type": "tool_use", "id": "toolu_2", "name": "time", "input": {}},
    ]
    assert body["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": [text("rain")]},
        {"type": "tool_result", "tool_use_id": "toolu_2", "content": [text("late")], "is_error": True},
        text("hurry"),
    ]


def test_signed_thinking_in_openrouters_form_is_replayed():
    details = [
        {"type": "reasoning.text", "text": "hm", "signature": "s"},
        {"type": "reasoning.encrypted", "data": "x"},
        {"type": "reasoning.text", "text": "unsigned"},
    ]
    body = encoded([Message("user", "a"), Message("assistant", "b", reasoning_details=details)])
    assert body["messages"][1]["content"][:2] == [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
    ]


def test_images_and_documents():
    parts: list[Part] = [
        ImagePart(ImageUrl("data:image/png;base64,AAAA")),
        ImagePart(ImageUrl("https://lamp.example/x.png")),
        ImagePart(ImageUrl("data:application/pdf;base64,JVBE")),
        FilePart({"file_data": "data:text/plain;base64,aGk=", "filename": "a.txt"}),
        FilePart({"file_id": "file_1"}),
    ]
    assert encoded([Message("user", parts)])["messages"][0]["content"] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "image", "source": {"type": "url", "url": "https://lamp.example/x.png"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hi"}, "title": "a.txt"},
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
    ]


@pytest.mark.parametrize(
    "part", [AudioPart({"data": "", "format": "wav"}), ImagePart(ImageUrl("data:image/png;base64,!")), FilePart({})]
)
def test_what_the_wire_cannot_carry_is_invalid(part):
    with pytest.raises(Invalid):
        encoded([Message("user", [part])])


def test_parameters_by_this_wires_names():
    tool = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
    body = encoded(
        [Message("user", "a")],
        max_completion_tokens=99,
        stop="END",
        user="u1",
        temperature=1.7,
        top_k=3,
        tools=[tool, {"type": "web_search_20250305", "name": "web_search"}],
        tool_choice="required",
        parallel_tool_calls=False,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
        stream=True,
    )
    body.pop("messages")
    assert body == {
        "model": "m",
        "max_tokens": 99,
        "stream": True,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u1"},
        "temperature": 1,
        "top_k": 3,
        "tools": [
            {"name": "f", "description": "d", "input_schema": {"type": "object"}},
            {"type": "web_search_20250305", "name": "web_search"},
        ],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
    }


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ({"type": "function", "function": {"name": "f"}}, {"type": "tool", "name": "f"}),
    ],
)
def test_tool_choices(choice, written):
    assert encoded([Message("user", "a")], tool_choice=choice)["tool_choice"] == written


def test_what_the_wire_does_not_have_is_left_out_and_named():
    foreign: dict[str, Any] = {"frequency_penalty": 1, "logit_bias": {}, "logprobs": True, "seed": 1, "n": 2}
    assert set(dropped(**foreign, response_format={"type": "json_object"})) == {*foreign, "response_format"}
    assert dropped(n=1, response_format={"type": "text"}, container="c") == ()
    assert dropped(Profile(refuses=frozenset({"temperature"})), temperature=1) == ("temperature",)


def test_depth_of_thought_in_words_or_as_a_budget():
    words = encoded([Message("user", "a")], reasoning_effort="high")
    assert (words["thinking"], words["output_config"]) == ({"type": "adaptive"}, {"effort": "high"})
    budget = Profile(thinking="budget")
    body = encoded([Message("user", "a")], budget, reasoning_effort="medium", max_tokens=5000, temperature=1, top_p=0.5)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 4999}
    assert ("temperature" in body, body["top_p"]) == (False, 0.95)
    assert dropped(budget, reasoning_effort="low", max_tokens=500) == ("reasoning_effort",)
    assert encoded([Message("user", "a")], reasoning_effort="none")["thinking"] == {"type": "disabled"}


def test_credential_and_model_list():
    headers = Anthropic().credential(Secret("k"))
    assert headers == {"x-api-key": "k", "anthropic-version": "2023-06-01"}
    listed = Anthropic().models(b'{"data":[{"id":"claude-x","display_name":"Claude X","max_input_tokens":200000}]}')
    assert [(one.id, one.name, one.context_window) for one in listed] == [("claude-x", "Claude X", 200_000)]
