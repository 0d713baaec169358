"""Logs as a generation writes them, made up."""

from typing import Any

from hypothesis import strategies as st

from tertulia.turn.events import (
    Attempt,
    Citation,
    Ended,
    Event,
    Fault,
    Finish,
    Image,
    Opaque,
    Queued,
    Reasoning,
    Refusal,
    Started,
    Text,
    ToolCallDelta,
    UsageSeen,
)
from tertulia.turn.usage import Usage

TEXT = st.text(max_size=8)
MAYBE = st.none() | TEXT
NUMBER = st.integers(0, 2**40)
CHOICE = st.integers(0, 2)
PART = st.integers(0, 3)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=3)
OPAQUE = st.none() | st.fixed_dictionaries({"wire": st.just("openai"), "data": OBJECT})
USAGE = st.builds(Usage, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, st.booleans(), st.none() | st.just("0.25"))

STARTED = st.builds(
    Started,
    generation_id=TEXT,
    model=TEXT,
    created_at=NUMBER,
    conversation_id=MAYBE,
    message_id=MAYBE,
    user_message_id=MAYBE,
    message_ids=st.lists(TEXT, max_size=2).map(tuple),
    text=TEXT,
    user_message=st.none() | OBJECT,
    assistant_message=st.none() | OBJECT,
    request_id=TEXT,
)
DELTA: st.SearchStrategy[Event] = st.one_of(
    st.builds(Text, TEXT, CHOICE, PART, st.none() | OBJECT, OPAQUE),
    st.builds(Reasoning, TEXT, CHOICE, PART, OPAQUE),
    st.builds(
        ToolCallDelta,
        st.integers(0, 3),
        MAYBE,
        MAYBE,
        TEXT,
        CHOICE,
        PART,
        st.sampled_from(["function", "custom"]),
        OPAQUE,
    ),
    st.builds(Image, TEXT, CHOICE, PART, OPAQUE),
    st.builds(Refusal, TEXT, CHOICE, PART),
    st.builds(Citation, OBJECT, TEXT, CHOICE, PART),
    st.builds(Opaque, OBJECT, TEXT, CHOICE, PART),
)
BETWEEN: st.SearchStrategy[Event] = st.one_of(
    DELTA,
    DELTA,
    st.builds(Queued, NUMBER, NUMBER),
    st.builds(Attempt, TEXT, TEXT, st.sampled_from(["answering", "failed"]), NUMBER, st.none() | NUMBER, MAYBE),
    st.builds(UsageSeen, USAGE),
)
ENDED = st.builds(
    Ended,
    outcome=st.sampled_from(["completed", "cancelled", "interrupted", "failed"]),
    finishes=st.lists(
        st.builds(
            Finish, st.sampled_from(["stop", "length", "tool_calls", "content_filter", "error"]), CHOICE, MAYBE, MAYBE
        ),
        max_size=3,
    ).map(tuple),
    usage=st.none() | USAGE,
    fault=st.none() | st.builds(Fault, TEXT, TEXT, st.none() | OBJECT),
    ended_at=NUMBER,
    provider=MAYBE,
    model=MAYBE,
    first_token_ms=st.none() | NUMBER,
    credits=MAYBE,
    partial=st.booleans(),
)


@st.composite
def _log(draw: st.DrawFn) -> list[Event]:
    events: list[Event] = [draw(STARTED), *draw(st.lists(BETWEEN, max_size=12))]
    return [*events, draw(ENDED)] if draw(st.booleans()) else events


LOGS = _log()
