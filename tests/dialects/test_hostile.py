"""Whatever a host sends, a decoder answers with events that a log can hold, or with a typed failure."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tertulia.providers.dialects.anthropic.dialect import Anthropic
from tertulia.providers.dialects.gemini.dialect import Gemini
from tertulia.providers.dialects.ollama.dialect import Ollama
from tertulia.providers.dialects.openai.dialect import OpenAI
from tertulia.turn.codec import decode_events, encode_events

RECORDED = {
    "openai": [
        "openrouter.sse",
        "mistral_thinking.sse",
        "openai_two_choices.sse",
        "groq_usage.sse",
        "openai_whole.json",
    ],
    "anthropic": ["anthropic_thinking_tools.sse", "anthropic_search.sse", "anthropic_whole.json"],
    "gemini": ["gemini_calls.sse", "gemini_image.sse", "gemini_whole.json"],
    "ollama": ["ollama_tools.ndjson", "ollama_whole.json"],
}
DIALECTS = {"anthropic": Anthropic(), "gemini": Gemini(), "ollama": Ollama(), "openai": OpenAI()}
CASES = [(wire, name) for wire, names in RECORDED.items() for name in names]
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from(
        [-1, 0, 0.5, 2**31, 2**53, 2**63, 2**64, 10**30, "", "x", "error", "\ud83d", "a\0b", [], {}, [None], [[]]]
    )
    | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "text", "a"]), inner, max_size=2)
    ),
    max_leaves=4,
)


def values_of(name: str, data: bytes) -> list[Any]:
    text = data.decode().replace("\r", "")
    if name.endswith(".json"):
        return [json.loads(text)]
    lines = (line.removeprefix("data:").strip() for line in text.split("\n"))
    return [json.loads(line) for line in lines if line.startswith("{")]


def framed(wire: str, value: Any) -> bytes:
    text = json.dumps(value)
    return f"{text}\n".encode() if wire == "ollama" else f"data: {text}\n\n".encode()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Name every place in a value, from the top down."""
    yield path
    steps: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield from places(inner, (*path, step))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    """Give what stands at a place."""
    for step in path:
        value = value[step]
    return value


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Give the value with another one at a place."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


def with_nuls(value: Any) -> Any:
    """Give the value with a NUL at the end of every text."""
    for place in places(value):
        text = at(value, place)
        if isinstance(text, str):
            value = changed(value, place, f"{text}\0")
    return value


def check(answer: Any) -> None:
    assert "\\x00" not in repr(answer)
    assert decode_events(encode_events(answer.events)) == answer.events
    assert len(answer.folded.choices()) <= 1024
    assert answer.code in {
        None, "upstream_truncated", "upstream_invalid", "upstream_error", "invalid", "rate_limited", "model_not_found",
        "provider_unavailable", "upstream_timeout", "body_too_large", "context_length_exceeded", "content_blocked",
    }  # fmt: skip


@pytest.mark.promise(39)
@pytest.mark.parametrize(("wire", "name"), CASES)
@quick
@given(data=st.data())
def test_anything_in_any_place(wire, name, data, read, transcript):
    values = values_of(name, transcript(name))
    for _ in range(data.draw(st.integers(1, 3))):
        which = data.draw(st.integers(0, len(values) - 1))
        place = data.draw(st.sampled_from(list(places(values[which]))))
        values[which] = changed(values[which], place, data.draw(anything))
    if name.endswith(".json"):
        check(read(wire, json.dumps(values[0]).encode(), streamed=False))
    else:
        check(read(wire, b"".join(framed(wire, value) for value in values)))


@pytest.mark.promise(39)
@pytest.mark.parametrize(("wire", "name"), CASES)
@quick
@given(bytes_=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_bytes(wire, name, bytes_, transcript, read):
    damaged = bytearray(transcript(name))
    for place, byte in bytes_:
        damaged[place % len(damaged)] = byte
    check(read(wire, bytes(damaged), streamed=not name.endswith(".json")))


@pytest.mark.parametrize("index", [-1, 1024, 10**9, 10**30])
def test_an_index_without_measure_fills_no_memory(read, index):
    chunk = {"choices": [{"index": index, "delta": {"content": "x"}, "finish_reason": "stop"}]}
    answer = read("openai", framed("openai", chunk))
    assert len(answer.folded.choices()) == 1
    assert answer.choice.text == "x"


def test_numbers_beyond_64_bits_can_be_stored(read):
    note = {"type": "url_citation", "n": 10**30}
    chunk = {"choices": [{"index": 0, "delta": {"annotations": [note]}, "finish_reason": "stop"}]}
    answer = read("openai", framed("openai", chunk))
    check(answer)
    assert answer.choice.citations[0].data["n"] == str(10**30)


@pytest.mark.parametrize(("wire", "name"), CASES)
def test_no_text_of_an_answer_has_a_nul(wire, name, read, transcript):
    values = [with_nuls(value) for value in values_of(name, transcript(name))]
    check(read(wire, framed(wire, values[0]) if name.endswith(".json") else b"".join(framed(wire, v) for v in values)))
    for value in values:
        check(read(wire, json.dumps(value).encode(), streamed=False))


@pytest.mark.parametrize("wire", sorted(RECORDED))
def test_no_complaint_and_no_name_of_a_model_has_a_nul(wire):
    dialect = DIALECTS[wire]
    for body in (
        json.dumps({"error": {"message": "no\0 good", "code": "a\0b", "param": "c\0"}}).encode(),
        b"no\0 good",
    ):
        failure = dialect.failure(400, {}, body)
        assert failure.fault.message == "no\ufffd good"
        assert "\\x00" not in repr(failure)
    entry = {"id": "m\0", "name": "models/m\0", "model": "m\0", "supportedGenerationMethods": ["generateContent"]}
    listed = dialect.models(json.dumps({"data": [entry], "models": [entry]}).encode())
    assert [model.id for model in listed] == ["m\ufffd"]


def test_nul_and_what_only_looks_like_one(read):
    content = "a\0\0b \\u0000 \\\0"
    chunk = {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": "stop"}]}
    answer = read("openai", framed("openai", chunk))
    assert answer.choice.text == content.replace("\0", "\ufffd")


def test_arguments_that_are_kept_decoded_have_no_nul(read):
    start = {"type": "content_block_start", "index": 0}
    events = [
        {"type": "message_start", "message": {"usage": {"input_tokens": 1}}},
        {**start, "content_block": {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "input_json_delta", "partial_json": json.dumps({"query": "a\0b"})},
        },
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    answer = read("anthropic", b"".join(framed("anthropic", event) for event in events))
    check(answer)
    assert "a\ufffdb" in repr(answer.events)
