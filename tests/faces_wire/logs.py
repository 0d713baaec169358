"""Logs as hypothesis makes them: any order of pieces that a provider may say, in any alphabet."""

import json
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tertulia.turn.events import (
    Citation,
    Delta,
    Ended,
    Event,
    Fault,
    Finish,
    FinishReason,
    Image,
    Opaque,
    Outcome,
    Reasoning,
    Refusal,
    Started,
    Text,
    ToolCallDelta,
    UsageSeen,
    number,
)
from tertulia.turn.fold import Choice, fold
from tertulia.turn.usage import Usage

quiet = settings(
    max_examples=60,
    deadline=None,  # shared cores
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

GENERATION = "0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee"
STARTED = Started(GENERATION, "openai/gpt-4o", 1_700_000_000_123_456, request_id="req-1")
KEPT = Started(
    GENERATION,
    "openai/gpt-4o",
    1_700_000_000_123_456,
    conversation_id="0199aaaa-0000-7ccc-8ddd-000000000001",
    message_id="0199aaaa-0000-7ccc-8ddd-000000000002",
    user_message_id="0199aaaa-0000-7ccc-8ddd-000000000003",
    request_id="req-1",
)
IMAGE = "data:image/png;base64,iVBORw0KGgo="

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
usages = st.builds(
    lambda prompt, completion, cached, written, reasoning, estimated: Usage(
        prompt + cached + written, completion + reasoning, cached, written, reasoning, estimated
    ),
    *[st.integers(0, 5000)] * 5,
    st.booleans(),
)
token = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
opaques = st.sampled_from(
    [
        None,
        {"wire": "openai", "data": {"reasoning_details": [{"type": "reasoning.text", "text": "so", "index": 0}]}},
        {"wire": "gemini", "data": {"thoughtSignature": "c2ln"}},
        {"wire": "anthropic", "data": {"type": "redacted_thinking", "data": "c2VhbGVk"}},
    ]
)
citations = st.sampled_from(
    [
        (
            "openai",
            {
                "type": "url_citation",
                "url_citation": {"url": "https://a.example", "title": "A", "start_index": 0, "end_index": 2},
            },
        ),
        (
            "anthropic",
            {
                "type": "web_search_result_location",
                "url": "https://b.example",
                "title": "B",
                "cited_text": "b",
                "encrypted_index": "x",
            },
        ),
        (
            "anthropic",
            {
                "type": "char_location",
                "document_index": 0,
                "document_title": "D",
                "cited_text": "c",
                "start_char_index": 0,
                "end_char_index": 1,
            },
        ),
        (
            "gemini",
            {
                "groundingMetadata": {
                    "groundingChunks": [
                        {"web": {"uri": "https://c.example", "title": "C"}},
                        {"web": {"uri": "https://d.example"}},
                    ]
                }
            },
        ),
    ]
)


@st.composite
def pieces(draw: st.DrawFn, choice: int = 0) -> list[Delta]:
    """Draw what is said beside tool calls."""
    kinds: dict[str, Any] = {
        "text": lambda: Text(draw(texts), choice, draw(st.integers(0, 2))),
        "logprobs": lambda: Text(draw(texts), choice, logprobs={"content": [token], "refusal": None}),
        "reasoning": lambda: Reasoning(draw(texts), choice, draw(st.integers(0, 2)), draw(opaques)),
        "sealed": lambda: Reasoning("", choice, opaque=draw(opaques.filter(lambda each: each is not None))),
        "refusal": lambda: Refusal(draw(texts), choice),
        "image": lambda: Image(draw(st.sampled_from([IMAGE, "/api/files/1"])), choice),
        "citation": lambda: _citation(draw(citations), choice),
        "opaque": lambda: Opaque(
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": "x"}}, "anthropic", choice
        ),
    }
    return [kinds[kind]() for kind in draw(st.lists(st.sampled_from(list(kinds)), max_size=8))]


@st.composite
def calls(draw: st.DrawFn, choice: int = 0) -> list[ToolCallDelta]:
    """Draw the fragments of parallel tool calls: each begins after the one before it, then they may interleave."""
    out: list[ToolCallDelta] = []
    values = st.dictionaries(
        texts, st.one_of(texts, st.integers(-5, 5), st.lists(st.booleans(), max_size=2)), max_size=2
    )
    rest: list[list[ToolCallDelta]] = []
    for index in range(draw(st.integers(0, 3))):
        arguments = _json(draw(values)) if draw(st.booleans()) else ""
        cut = draw(st.integers(0, len(arguments)))
        opaque = draw(st.sampled_from([None, {"wire": "gemini", "data": {"thoughtSignature": "Y2FsbA=="}}]))
        out.append(ToolCallDelta(index, f"call_{choice}_{index}", f"tool{index}", "", choice, index, opaque=opaque))
        rest.append(
            [ToolCallDelta(index, None, None, piece, choice, index) for piece in (arguments[:cut], arguments[cut:])]
        )
    while any(rest):
        turn = draw(st.sampled_from([index for index, fragments in enumerate(rest) if fragments]))
        out.append(rest[turn].pop(0))
    return out


@st.composite
def logs(draw: st.DrawFn, most_choices: int = 1, outcomes: tuple[Outcome, ...] = ("completed",)) -> list[Event]:
    """Draw a whole log."""
    started = draw(st.sampled_from([STARTED, KEPT]))
    deltas: list[Delta] = []
    finishes: list[Finish] = []
    for choice in range(draw(st.integers(1, most_choices))):
        said = draw(pieces(choice))
        called = draw(calls(choice))
        deltas += draw(_merged(said, called)) if draw(st.booleans()) else [*said, *called]
        reasons: list[FinishReason] = ["tool_calls"] if called else ["stop", "length", "content_filter"]
        reason = draw(st.sampled_from(reasons))
        finishes.append(Finish(reason, choice))
    usage = draw(usages)
    outcome = draw(st.sampled_from(outcomes))
    fault = Fault("upstream_error", "It broke.") if outcome in {"failed", "interrupted"} else None
    ended = Ended(outcome, tuple(finishes), usage, fault, 1_700_000_001_000_000, partial=bool(deltas))
    return [started, *deltas, UsageSeen(usage), ended]


def choices_of(log: list[Event]) -> tuple[Choice, ...]:
    """Fold a log."""
    return fold(log).choices()


def numbered(log: list[Event]) -> list[tuple[int, Event]]:
    """Number the entries as one writer does."""
    return [(number(0, n), event) for n, event in enumerate(log, 1)]


@st.composite
def _merged(draw: st.DrawFn, one: list[Any], other: list[Any]) -> list[Any]:
    one, other, out = list(one), list(other), []
    while one or other:
        source = draw(st.sampled_from([each for each in (one, other) if each]))
        out.append(source.pop(0))
    return out


def _citation(drawn: tuple[str, dict[str, Any]], choice: int) -> Citation:
    wire, data = drawn
    return Citation(data, wire, choice)


def _json(value: Any) -> str:
    return json.dumps(value)
