"""OpenAI's wire and its imitations, read leniently."""

import json
from typing import Any

import msgspec
import pytest

from tertulia.providers.dialects.openai.dialect import OpenAI
from tertulia.providers.port import Finished, Profile
from tertulia.turn.content import Function, ImagePart, ImageUrl, Message, TextPart, ToolCall
from tertulia.turn.events import Citation, Finish, Opaque, Text, ToolCallDelta, UsageSeen
from tertulia.turn.request import Request
from tertulia.turn.usage import Usage


def stream(*chunks: Any, done: bool = True) -> bytes:
    frames = [f"data: {chunk if isinstance(chunk, str) else json.dumps(chunk)}\n\n" for chunk in chunks]
    return "".join([*frames, "data: [DONE]\n\n" if done else ""]).encode()


def delta(finish: str | None = None, index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": fields, "finish_reason": finish}]}


def test_text_with_usage_in_the_last_chunk(recorded):
    answer = recorded("openai_text.sse")
    assert answer.choice.text == "Olá 👋🏽 — the lamp 灯 is lit."
    assert answer.folded.usage == Usage(prompt=19, completion=11, cached=8, reasoning=4)
    assert answer.how == Finished((Finish("stop", 0, "stop"),))


def test_parallel_tool_calls_by_their_index(recorded):
    answer = recorded("openai_tools.sse")
    assert answer.choice.tool_calls == (
        ToolCall("call_Aa1", Function("weather", '{"city":"Köln"}')),
        ToolCall("call_Bb2", Function("time", '{"zone":"CET"}')),
    )
    assert answer.how == Finished((Finish("tool_calls", 0, "tool_calls"),))


def test_a_refusal(recorded):
    answer = recorded("openai_refusal.sse")
    assert (answer.choice.refusal, answer.choice.text) == ("I cannot help with that.", "")
    assert answer.how == Finished((Finish("stop", 0, "stop"),))


def test_two_choices_with_logprobs(recorded):
    answer = recorded("openai_two_choices.sse")
    first, second = answer.folded.choices()
    assert (first.text, second.text) == ("Aa", "Bb")
    assert first.logprobs[0]["content"][0]["logprob"] == -0.25
    assert answer.how == Finished((Finish("stop", 0, "stop"), Finish("stop", 1, "stop")))


def test_reasoning_content_and_usage_beside_a_choice(recorded):
    answer = recorded("deepseek_reasoning.sse")
    assert (answer.choice.reasoning, answer.choice.text) == ("Who is awake?", "The baker.")
    assert answer.folded.usage == Usage(prompt=20, completion=9, cached=16, reasoning=5)


def test_openrouter_details_images_citations_and_cost(recorded):
    answer = recorded("openrouter.sse")
    assert (answer.choice.reasoning, answer.choice.text) == ("Let me look.", "Here it is.")
    assert answer.choice.images == ("data:image/png;base64,iVBORw0KGgo=",)
    assert [note.data["url_citation"]["title"] for note in answer.choice.citations] == ["Bread"]
    assert answer.folded.usage == Usage(prompt=12, completion=7, cache_write=5, reasoning=2, cost_usd="0.00042")
    assert answer.how == Finished((Finish("stop", 0, "end_turn"),))


def test_openrouter_details_come_back_joined(recorded):
    kept = recorded("openrouter.sse").choice.opaque
    history = Message("assistant", "Here it is.", opaque=kept)
    sent = encoded([Message("user", "look"), history, Message("user", "more")])["messages"][1]
    assert sent["reasoning_details"] == [
        {
            "type": "reasoning.text",
            "text": "Let me look.",
            "signature": "c2ln",
            "format": "anthropic-claude-v1",
            "index": 0,
        }
    ]


def test_content_lists_with_thinking_and_references(recorded):
    answer = recorded("mistral_thinking.sse")
    assert (answer.choice.reasoning, answer.choice.text) == ("Hm, bread.", "Bread it is")
    assert answer.choice.citations[0].data["reference_ids"] == [2]
    assert answer.choice.tool_calls == (ToolCall("D681PevKs", Function("bake", '{"loaves": 2}')),)


def test_usage_of_groq(recorded):
    answer = recorded("groq_usage.sse")
    assert (answer.choice.reasoning, answer.choice.text) == ("quick", "Yes.")
    assert answer.folded.usage == Usage(prompt=5, completion=3)


def test_usage_in_every_chunk_is_told_when_it_is_final(recorded):
    answer = recorded("vllm_continuous.sse")
    assert [event.usage for event in answer.events if isinstance(event, UsageSeen)] == [Usage(prompt=6, completion=4)]
    assert answer.how == Finished((Finish("stop", 0, "stop", "</s>"),))


def test_cumulative_messages_beside_deltas_are_not_repeated(recorded):
    answer = recorded("perplexity_full.sse")
    assert answer.choice.text == "Rye bread"
    assert [event.data for event in answer.events if isinstance(event, Opaque)] == [
        {"citations": ["https://a.example/"]},
        {"citations": ["https://a.example/"], "search_results": [{"title": "A", "url": "https://a.example/"}]},
    ]
    assert answer.folded.usage == Usage(prompt=2, completion=2, cost_usd="0.005")


def test_messages_in_place_of_deltas(recorded):
    assert recorded("webui_message.sse").choice.text == "Once upon"


def test_the_camel_case_twin(recorded):
    answer = recorded("inference_twin.sse")
    assert answer.choice.text == "Hi"
    assert answer.folded.usage == Usage(prompt=4, completion=2)
    assert answer.how == Finished((Finish("length", 0, "length"),))


def test_tool_calls_without_index_with_objects_and_without_arguments(recorded):
    answer = recorded("openai_odd_tools.sse")
    assert answer.choice.tool_calls == (
        ToolCall("a", Function("one", '{"x":1}')),
        ToolCall("b", Function("two", '{"y":2}')),
        ToolCall("c", Function("three", "{}")),
    )
    assert answer.how == Finished((Finish("tool_calls", 0, "stop"),))


def test_a_name_that_is_repeated_is_told_once(read):
    fragments = [
        delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": part}}]) for part in ("{", "}")
    ]
    answer = read("openai", stream(*fragments, delta("tool_calls")))
    calls = [event for event in answer.events if isinstance(event, ToolCallDelta)]
    assert [(call.id, call.name, call.arguments) for call in calls] == [("a", "f", "{"), (None, None, "}")]


def test_a_legacy_function_call(read):
    answer = read(
        "openai", stream(delta(function_call={"name": "f", "arguments": "{}"}), delta("function_call"), done=False)
    )
    assert answer.choice.tool_calls[0].function == Function("f", "{}")
    assert answer.how == Finished((Finish("tool_calls", 0, "function_call"),))


def test_a_whole_answer(recorded):
    answer = recorded("openai_whole.json")
    assert (answer.choice.text, answer.choice.reasoning) == ("Olá 灯", "hm")
    assert answer.choice.tool_calls == (
        ToolCall("call_1", Function("f", '{"a":1}')),
        ToolCall("call_2", Function("g", "free text"), "custom"),
    )
    assert answer.folded.usage == Usage(prompt=19, completion=11, cached=8, reasoning=4)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 10, "reasoning_tokens": 3}, Usage(5, 5, 0, 0, 3)),
        ({"prompt_tokens": None, "completion_tokens": 2, "total_tokens": 10}, Usage(8, 2)),
        ({"prompt_tokens": 5.0, "completion_tokens": -2, "total_tokens": True}, Usage(5, 0)),
        ({"prompt_tokens": 1, "completion_tokens": 1, "cost": "NaN"}, Usage(1, 1)),
        ({"prompt_tokens": 1, "completion_tokens": 1, "cost": 1e-7}, Usage(1, 1, cost_usd="0.0000001")),
    ],
)
def test_usage_in_odd_forms(read, usage, expected):
    assert read("openai", stream(delta("stop", content="x"), {"choices": [], "usage": usage})).folded.usage == expected


@pytest.mark.parametrize("error", ["boom", {"message": "boom"}, {"message": "boom", "code": 502}, ["boom"]])
@pytest.mark.parametrize("before", [0, 2])
def test_an_error_under_200_fails_the_stream_and_keeps_what_came(read, error, before):
    chunks = [delta(content="x") for _ in range(before)]
    answer = read("openai", stream(*chunks, {"error": error}))
    assert answer.code == "upstream_error"
    assert answer.choice.text == "x" * before


def test_an_error_beside_a_last_choice(read):
    last = {**delta("error", content=""), "error": {"code": 429, "message": "slow down"}}
    answer = read("openai", stream(delta(content="x"), last))
    assert (answer.code, answer.choice.text) == ("rate_limited", "x")
    assert "slow down" in answer.how.fault.message


@pytest.mark.parametrize(
    "body", [b'{"object":"error","message":"no","code":404}', b'{"detail":"gone"}', b'[{"error":{"code":404}}]']
)
@pytest.mark.parametrize("streamed", [True, False])
def test_errors_of_other_shapes_under_200(read, body, streamed):
    answer = read("openai", b"data: " + body + b"\n\n" if streamed else body, streamed=streamed)
    assert answer.code in {"model_not_found", "upstream_error"}


def test_an_error_event(read):
    answer = read("openai", b'event: error\ndata: {"message": "model crashed"}\n\n')
    assert answer.code == "upstream_error"
    assert answer.how.fault.message == "model crashed"


@pytest.mark.parametrize(
    "pieces",
    [
        stream(delta(content="half"), done=False),
        stream(delta(content="half"), done=False) + b'data: {"choices":[{"del',
        stream(delta(content="half"), done=False) + b": keep-alive",
    ],
)
def test_an_end_without_terminal_is_a_cut_and_never_a_stop(read, pieces):
    answer = read("openai", pieces)
    assert (answer.code, answer.choice.text) == ("upstream_truncated", "half")


def test_one_choice_of_two_without_a_reason_is_a_cut(read):
    wire = stream(delta(content="a"), delta(content="b", index=1), delta("stop"), done=False)
    assert read("openai", wire).code == "upstream_truncated"


def test_a_cut_keeps_the_count_that_was_known(read):
    chunk = {**delta(content="half"), "usage": {"prompt_tokens": 7, "completion_tokens": 1}}
    answer = read("openai", stream(chunk, done=False))
    assert (answer.code, answer.folded.usage) == ("upstream_truncated", Usage(7, 1))


def test_the_done_marker_ends_an_answer_without_a_reason(read):
    assert read("openai", stream(delta(content="a"))).how == Finished((Finish("stop", 0),))


def test_a_reason_ends_an_answer_without_the_done_marker(read):
    assert read("openai", stream(delta("length", content="a"), done=False)).how == Finished(
        (Finish("length", 0, "length"),)
    )


def test_nothing_after_the_done_marker_counts(read):
    wire = stream(delta("stop", content="a")) + stream(delta(content="b"))
    assert read("openai", wire).choice.text == "a"


@pytest.mark.parametrize(
    "body", [b"<html>", b"data: {not json}\n\n", b"data: 7\n\n", b"data: " + b"[" * 100_000 + b"\n\n"]
)
def test_what_cannot_be_read_is_a_typed_failure(read, body):
    assert read("openai", body).code in {"upstream_invalid", "upstream_truncated"}


@pytest.mark.parametrize("body", [b"<html>busy</html>", b"{}", b'{"choices":[]}', b"[]", b'"x"', b'{"choices":{}}'])
def test_a_whole_body_that_is_no_answer_is_invalid(read, body):
    assert read("openai", body, streamed=False).code == "upstream_invalid"


@pytest.mark.parametrize("body", [b"", b"  ", b'{"choices":[{"mess'])
def test_half_a_body_is_a_cut(read, body):
    assert read("openai", body, streamed=False).code == "upstream_truncated"


def test_half_of_a_surrogate_pair_does_not_break_the_stream(read):
    wire = b'data: {"choices":[{"index":0,"delta":{"content":"a\\ud83d"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    assert read("openai", wire).choice.text == "a�"


def test_bytes_that_are_not_utf8_do_not_break_the_stream(read):
    wire = b'data: {"choices":[{"index":0,"delta":{"content":"a\xff"},"finish_reason":"stop"}]}\n\n'
    assert read("openai", wire).choice.text == "a�"


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("eos", "stop"),
        ("model_length", "length"),
        ("function_call", "tool_calls"),
        ("CONTENT_FILTER", "content_filter"),
        ("odd", "stop"),
    ],
)
def test_reasons_of_other_hosts(read, word, reason):
    assert read("openai", stream(delta(word, content="x"))).how == Finished((Finish(reason, 0, word),))


@pytest.mark.parametrize("word", ["error", "insufficient_system_resource"])
def test_a_host_that_gives_up_fails_and_may_be_tried_again(read, word):
    answer = read("openai", stream(delta(content="x"), delta(word)))
    assert (answer.code, answer.choice.text, answer.how.retry) == ("upstream_error", "x", True)


# Requests


def encoded(messages: list[Message], profile: Profile | None = None, *, stream: bool = False, **parameters: Any) -> Any:
    request = Request(tuple(messages), parameters, stream)
    return msgspec.json.decode(OpenAI().encode(request, "m", profile or Profile()).body)


def test_parameters_pass_known_or_not():
    body = encoded([Message("user", "hi")], temperature=0.5, top_k=3, grammar="root ::= x", n=2)
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0.5,
        "top_k": 3,
        "grammar": "root ::= x",
        "n": 2,
    }


def test_a_stream_asks_for_its_usage_where_the_host_takes_that():
    options = {"include_obfuscation": False}
    body = encoded([], stream=True, stream_options=options)
    assert (body["stream"], body["stream_options"]) == (True, {"include_obfuscation": False, "include_usage": True})
    assert "stream_options" not in encoded([], Profile(include_usage=False), stream=True, stream_options=options)
    assert encoded([], stream=False, stream_options=options).keys() == {"model", "messages"}


def test_names_of_the_cap_and_the_role_of_instructions():
    old = encoded([Message("developer", "be brief")], max_completion_tokens=9)
    assert (old["max_tokens"], old["messages"][0]["role"]) == (9, "system")
    reasoning = Profile(renames={"max_tokens": "max_completion_tokens"}, system_role="developer")
    new = encoded([Message("system", "be brief")], reasoning, max_tokens=9)
    assert (new["max_completion_tokens"], new["messages"][0]["role"]) == (9, "developer")
    assert "max_tokens" not in new


def test_what_the_profile_refuses_is_left_out_and_named():
    request = Request((), {"logit_bias": {}, "temperature": 1, "seed": 3}, stream=False)
    written = OpenAI().encode(request, "m", Profile(refuses=frozenset({"logit_bias", "seed"})))
    assert written.dropped == ("logit_bias", "seed")
    assert msgspec.json.decode(written.body) == {"model": "m", "messages": [], "temperature": 1}


def test_messages_are_written_whole():
    image = ImagePart(ImageUrl("data:image/png;base64,AAAA", "low"))
    call = ToolCall("c", Function("f", ""), opaque={"wire": "openai", "data": {"extra_content": {"google": {"x": 1}}}})
    body = encoded(
        [
            Message("user", [TextPart("see"), image], name="Ana"),
            Message("assistant", None, tool_calls=[call], reasoning_content="hm", extra={"custom_field": 1}),
            Message("tool", "42", tool_call_id="c"),
        ]
    )
    assert body["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "see"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
            ],
            "name": "Ana",
        },
        {
            "custom_field": 1,
            "role": "assistant",
            "content": None,
            "reasoning_content": "hm",
            "tool_calls": [
                {
                    "id": "c",
                    "type": "function",
                    "function": {"name": "f", "arguments": "{}"},
                    "extra_content": {"google": {"x": 1}},
                }
            ],
        },
        {"role": "tool", "content": "42", "tool_call_id": "c"},
    ]


def test_a_name_is_folded_where_the_host_refuses_it():
    quiet = Profile(names=False)
    texts = encoded([Message("user", "hi", name="Ana"), Message("user", [TextPart("ho")], name="Bo")], quiet)
    assert texts["messages"] == [
        {"role": "user", "content": "Ana: hi"},
        {"role": "user", "content": [{"type": "text", "text": "Bo:"}, {"type": "text", "text": "ho"}]},
    ]


def test_what_another_wire_kept_is_not_sent():
    kept = ({"wire": "anthropic", "part": 0, "data": {"type": "thinking", "thinking": "x", "signature": "y"}},)
    assert encoded([Message("assistant", "a", opaque=kept)])["messages"] == [{"role": "assistant", "content": "a"}]


def test_a_custom_call_is_written_in_its_form():
    sent = encoded([Message("assistant", tool_calls=[ToolCall("c", Function("g", "free"), "custom")])])
    assert sent["messages"][0]["tool_calls"] == [
        {"id": "c", "type": "custom", "custom": {"name": "g", "input": "free"}}
    ]


def test_model_lists_of_several_forms():
    full = b'{"data":[{"id":"a","context_length":8192,"top_provider":{"max_completion_tokens":100}},{"no":"id"}]}'
    listed = OpenAI().models(full)
    assert [(one.id, one.context_window, one.max_output) for one in listed] == [("a", 8192, 100)]
    assert [one.id for one in OpenAI().models(b'[{"id":"b"}]')] == ["b"]


def test_events_that_carry_more_than_text(read):
    answer = read(
        "openai",
        stream(
            delta(audio={"id": "au1", "data": "AAAA"}),
            delta("stop", content="x", annotations=[{"type": "url_citation"}]),
        ),
    )
    assert answer.events == [
        Opaque({"audio": {"id": "au1", "data": "AAAA"}}, "openai"),
        Text("x"),
        Citation({"type": "url_citation"}, "openai"),
    ]
