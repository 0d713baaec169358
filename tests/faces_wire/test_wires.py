"""Recorded answers of the four wires, through the vocabulary, out in every dialect: clients see all of it."""

from pathlib import Path
from typing import Any

import pytest

from tertulia.faces.anthropic.encode import MessageEncoder
from tertulia.faces.openai.encode import ChunkEncoder
from tertulia.faces.responses.encode import ResponseEncoder
from tertulia.providers.dialects.anthropic.dialect import Anthropic
from tertulia.providers.dialects.gemini.dialect import Gemini
from tertulia.providers.dialects.ollama.dialect import Ollama
from tertulia.providers.dialects.openai.dialect import OpenAI
from tertulia.providers.port import Dialect, UpstreamFault
from tertulia.turn.content import Message
from tertulia.turn.events import Ended, Event, Finish, UsageSeen
from tertulia.turn.request import Request
from tests.faces_wire.frames import Wire, stream_of
from tests.faces_wire.logs import STARTED, choices_of

DATA = Path(__file__).parents[1] / "dialects" / "data"
DIALECTS: dict[str, Dialect] = {"anthropic": Anthropic(), "gemini": Gemini(), "ollama": Ollama(), "openai": OpenAI()}
REQUEST = Request((Message("user", "Hi"),), {}, stream=True)
MESSAGES: Any = [{"role": "user", "content": "Hi"}]


def log_of(path: Path) -> list[Event]:
    """Read a recording as the runner does; where the answer is an error, keep what came before it."""
    first = path.name.partition("_")[0]
    streamed = path.suffix != ".json"
    decoder = DIALECTS[first if first in DIALECTS else "openai"].decoder(REQUEST, streamed=streamed)
    said: list[Any] = []
    finishes: tuple[Finish, ...] = (Finish("stop"),)
    try:
        said += decoder.feed(path.read_bytes())
        last, how = decoder.close()
        said, finishes = [*said, *last], how.finishes
    except UpstreamFault as fault:
        said += fault.said
    usage = next((event.usage for event in reversed(said) if isinstance(event, UsageSeen)), None)
    return [STARTED, *said, Ended("completed", finishes, usage)]


def chat(wire: Wire, body: bytes) -> Any:
    wire.lay(body)
    options: Any = {"include_usage": True}
    with wire.openai.chat.completions.stream(model="m", messages=MESSAGES, stream_options=options) as stream:
        for _ in stream:
            pass
        return stream.current_completion_snapshot


def message(wire: Wire, body: bytes) -> dict[str, Any]:
    wire.lay(body)
    with wire.anthropic.messages.stream(model="m", max_tokens=9, messages=MESSAGES) as stream:
        return stream.get_final_message().to_dict(warnings=False)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("path", sorted(DATA.iterdir()), ids=lambda path: path.name)
def test_every_recording_comes_out_in_every_dialect(wire: Wire, path: Path) -> None:
    log = log_of(path)
    choices = choices_of(log)
    chatted = chat(wire, stream_of(ChunkEncoder(include_usage=True), log))
    for index, choice in enumerate(choices):
        told = chatted.choices[index].message
        assert (told.content or "", told.refusal or "") == (choice.text, choice.refusal)
        assert (getattr(told, "reasoning_content", None) or "") == choice.reasoning
        calls = [
            (call.id, call.function.name, call.function.arguments) for call in told.tool_calls or () if call.function
        ]
        assert calls == [
            (c.id, c.function.name, c.function.arguments) for c in choice.tool_calls if c.type == "function"
        ]
    first = choices[0]
    content = message(wire, stream_of(MessageEncoder(), log))["content"]
    assert "".join(block["text"] for block in content if block["type"] == "text") == first.text + first.refusal
    assert [b["name"] for b in content if b["type"] == "tool_use"] == [call.function.name for call in first.tool_calls]
    wire.lay(stream_of(ResponseEncoder(), log))
    with wire.openai.responses.stream(model="m", input="Hi") as stream:
        last: Any = list(stream)[-1]
    output = last.response.to_dict(warnings=False)["output"]
    parts = [part for item in output for part in item.get("content") or ()]
    assert "".join(part["text"] for part in parts if part["type"] == "output_text") == first.text


@pytest.mark.parametrize("name", ["anthropic_search.sse", "anthropic_thinking_tools.sse"])
def test_anthropics_own_stream_comes_back_as_it_was(wire: Wire, name: str) -> None:
    path = DATA / name
    before, after = message(wire, path.read_bytes()), message(wire, stream_of(MessageEncoder(), log_of(path)))
    for field in ("content", "stop_reason", "stop_sequence"):
        assert without_nulls(after[field]) == without_nulls(before[field])
    assert after["usage"]["output_tokens"] == before["usage"]["output_tokens"]


@pytest.mark.parametrize(
    "name", ["openai_text.sse", "openai_tools.sse", "openai_refusal.sse", "openai_two_choices.sse"]
)
def test_openais_own_stream_comes_back_as_it_was(wire: Wire, name: str) -> None:
    path = DATA / name
    before, after = chat(wire, path.read_bytes()), chat(wire, stream_of(ChunkEncoder(include_usage=True), log_of(path)))
    assert len(before.choices) == len(after.choices)
    for one, other in zip(before.choices, after.choices, strict=True):
        assert (one.message.content or "", one.message.refusal) == (other.message.content or "", other.message.refusal)
        assert [call.to_dict() for call in one.message.tool_calls or ()] == [
            call.to_dict() for call in other.message.tool_calls or ()
        ]
        assert one.finish_reason == other.finish_reason
    # The SDK counts the probabilities of a later choice twice where they come in its first chunk; ours do not.
    first, ours = before.choices[0].logprobs, after.choices[0].logprobs
    assert (first and first.to_dict()) == (ours and ours.to_dict())
    assert (before.usage and before.usage.total_tokens) == (after.usage and after.usage.total_tokens)
