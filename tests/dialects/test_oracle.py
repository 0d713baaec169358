"""The official clients read the same bytes: what they make of them is what our fold makes of them."""

import json
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletion

OPENAI = ["openai_text.sse", "openai_tools.sse", "openai_refusal.sse", "openai_two_choices.sse"]
ANTHROPIC = ["anthropic_thinking_tools.sse", "anthropic_search.sse"]


def answering(body: bytes, content_type: str) -> httpx2.Client:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": content_type}, content=body)

    return httpx2.Client(transport=httpx2.MockTransport(answer))


def openai_says(body: bytes) -> ChatCompletion:
    with (
        answering(body, "text/event-stream") as http,
        openai.OpenAI(api_key="k", http_client=http, max_retries=0) as client,
        client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "hi"}]) as stream,
    ):
        for _ in stream:
            pass
        return stream.get_final_completion()


@pytest.mark.parametrize("name", OPENAI)
def test_openais_client_makes_the_same_of_a_stream(name, transcript, recorded):
    answer, theirs = recorded(name), openai_says(transcript(name))
    for choice in theirs.choices:
        ours = answer.folded.choice(choice.index)
        assert ours.text == (choice.message.content or "")
        assert ours.refusal == (choice.message.refusal or "")
        calls: list[Any] = list(choice.message.tool_calls or [])
        assert [(call.id, call.function.name, call.function.arguments) for call in ours.tool_calls] == [
            (call.id, call.function.name, call.function.arguments) for call in calls
        ]
        finish = next(one for one in answer.how.finishes if one.choice == choice.index)
        assert finish.reason == choice.finish_reason
    if theirs.usage is not None:
        usage = answer.folded.usage
        assert (usage.prompt, usage.completion, usage.total) == (
            theirs.usage.prompt_tokens,
            theirs.usage.completion_tokens,
            theirs.usage.total_tokens,
        )


def anthropic_says(body: bytes) -> anthropic.types.Message:
    with (
        answering(body, "text/event-stream") as http,
        anthropic.Anthropic(api_key="k", http_client=http, max_retries=0) as client,
        client.messages.stream(model="claude-x", max_tokens=9, messages=[{"role": "user", "content": "hi"}]) as stream,
    ):
        return stream.get_final_message()


def without_nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    return value


@pytest.mark.parametrize("name", ANTHROPIC)
def test_anthropics_client_makes_the_same_of_a_stream(name, transcript, recorded):
    answer, theirs = recorded(name), anthropic_says(transcript(name))
    blocks = [block.model_dump(exclude_none=True) for block in theirs.content]
    choice = answer.choice
    assert choice.text == "".join(block["text"] for block in blocks if block["type"] == "text")
    assert choice.reasoning == "".join(block["thinking"] for block in blocks if block["type"] == "thinking")
    assert [(call.id, call.function.name, json.loads(call.function.arguments)) for call in choice.tool_calls] == [
        (block["id"], block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"
    ]
    kept = [without_nulls(one["data"]) for one in choice.opaque]
    assert kept == [block for block in blocks if block["type"] not in {"text", "tool_use"}]
    citations = [note for block in blocks for note in block.get("citations") or ()]
    assert [note.data["cited_text"] for note in choice.citations] == [note["cited_text"] for note in citations]
    finish = answer.how.finishes[0]
    assert (finish.native, finish.stop_sequence) == (theirs.stop_reason, theirs.stop_sequence)
    usage = answer.folded.usage
    assert usage.completion == theirs.usage.output_tokens
    assert usage.cached == (theirs.usage.cache_read_input_tokens or 0)
    assert usage.prompt == theirs.usage.input_tokens + usage.cached + (theirs.usage.cache_creation_input_tokens or 0)


@pytest.mark.parametrize("name", OPENAI + ANTHROPIC)
def test_the_clients_agree_that_a_cut_stream_is_not_whole(name, transcript, read):
    wire = "anthropic" if name in ANTHROPIC else "openai"
    data = transcript(name)
    assert read(wire, data[: len(data) // 2]).code == "upstream_truncated"
