"""Ollama's wire."""

import json
from typing import Any

import msgspec
import pytest

from tertulia.kernel.errors import Invalid
from tertulia.providers.dialects.ollama.dialect import Ollama
from tertulia.providers.port import Finished, Profile
from tertulia.turn.content import AudioPart, Function, ImagePart, ImageUrl, Message, TextPart, ToolCall
from tertulia.turn.events import Finish
from tertulia.turn.request import Request
from tertulia.turn.usage import Usage


def lines(*values: Any) -> bytes:
    return "".join(json.dumps(value) + "\n" for value in values).encode()


def said(content: str) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": content}, "done": False}


def test_thinking_text_and_calls(recorded):
    answer = recorded("ollama_tools.ndjson")
    assert (answer.choice.reasoning, answer.choice.text) == ("Who knocks?", "A 灯 cat 👋🏽.")
    assert [call.function for call in answer.choice.tool_calls] == [
        Function("open", '{"door":"left"}'),
        Function("feed", "{}"),
    ]
    assert answer.folded.usage == Usage(prompt=26, completion=29)
    assert answer.how == Finished((Finish("tool_calls", 0, "stop"),))


def test_a_whole_answer(recorded):
    answer = recorded("ollama_whole.json")
    assert (answer.choice.reasoning, answer.choice.text) == ("hm", "A cat.")
    assert answer.how == Finished((Finish("length", 0, "length"),))


def test_an_end_without_done_is_a_cut(read):
    for body in (lines(said("half")), lines(said("half")) + b'{"message":{"con'):
        answer = read("ollama", body)
        assert (answer.code, answer.choice.text) == ("upstream_truncated", "half")


def test_an_error_in_the_stream(read):
    answer = read("ollama", lines(said("half"), {"error": "runner stopped"}))
    assert (answer.code, answer.choice.text, answer.how.fault.message) == ("upstream_error", "half", "runner stopped")


def test_an_absent_count_of_the_prompt(read):
    answer = read("ollama", lines({**said("a"), "done": True, "eval_count": 3}))
    assert answer.folded.usage == Usage(completion=3)
    assert answer.how == Finished((Finish("stop"),))


def test_odd_types_are_borne(read):
    answer = read("ollama", lines({**said("a"), "eval_count": "many", "done_reason": 7, "done": True}))
    assert (answer.choice.text, answer.how) == ("a", Finished((Finish("stop"),)))


@pytest.mark.parametrize("body", [b"<html>\n", b"7\n"])
def test_what_cannot_be_read(read, body):
    assert read("ollama", body).code == "upstream_invalid"


def encoded(messages: list[Message], profile: Profile | None = None, **parameters: Any) -> Any:
    request = Request(tuple(messages), parameters, stream=False)
    return msgspec.json.decode(Ollama().encode(request, "m", profile or Profile()).body)


def test_messages():
    body = encoded(
        [
            Message("developer", "be brief"),
            Message("user", [TextPart("see"), ImagePart(ImageUrl("data:image/png;base64,AAAA"))], name="Ana"),
            Message("assistant", None, tool_calls=[ToolCall("c1", Function("f", '{"a":1}'))], reasoning_content="hm"),
            Message("tool", "42", tool_call_id="c1"),
        ]
    )
    assert body["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "Ana: see", "images": ["AAAA"]},
        {
            "role": "assistant",
            "content": "",
            "thinking": "hm",
            "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}],
        },
        {"role": "tool", "content": "42", "tool_name": "f"},
    ]


@pytest.mark.parametrize("part", [AudioPart({}), ImagePart(ImageUrl("https://lamp.example/x.png"))])
def test_what_the_wire_cannot_carry_is_invalid(part):
    with pytest.raises(Invalid):
        encoded([Message("user", [part])])


def test_parameters_by_this_wires_names():
    tools = [{"type": "function", "function": {"name": "f"}}]
    body = encoded(
        [],
        max_tokens=9,
        temperature=0.1,
        stop="END",
        num_ctx=8192,
        mirostat=2,
        options={"num_gpu": 1},
        keep_alive="5m",
        reasoning_effort="none",
        response_format={"type": "json_schema", "json_schema": {"schema": {"type": "object"}}},
        tools=tools,
    )
    assert body == {
        "model": "m",
        "stream": False,
        "messages": [],
        "tools": tools,
        "format": {"type": "object"},
        "think": False,
        "keep_alive": "5m",
        "options": {
            "num_gpu": 1,
            "num_predict": 9,
            "stop": ["END"],
            "temperature": 0.1,
            "num_ctx": 8192,
            "mirostat": 2,
        },
    }


def test_a_choice_of_tools_is_obeyed_as_far_as_it_can_be():
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert "tools" not in encoded([], tools=tools, tool_choice="none")
    forced = Request((), {"tools": tools, "tool_choice": "required", "n": 2, "user": "u"}, stream=False)
    assert set(Ollama().encode(forced, "m", Profile()).dropped) == {"tool_choice", "n", "user"}


def test_the_model_list():
    assert [one.id for one in Ollama().models(b'{"models":[{"name":"qwen:4b","model":"qwen:4b"}]}')] == ["qwen:4b"]
