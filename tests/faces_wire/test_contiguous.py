import json
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from tertulia.turn.events import Delta, Text, ToolCallDelta
from tertulia.turn.fold import fold
from tertulia.wire.contiguous import Contiguous
from tests.faces_wire.logs import logs, quiet, texts

DELTAS = (Text, ToolCallDelta)
values = st.recursive(
    st.none() | st.integers() | texts | st.just('\\"}{') | st.just("\\"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def ordered(deltas: list[Delta]) -> list[Delta]:
    order = Contiguous()
    return [ready for delta in deltas for ready in order.add(delta)] + order.close()


@given(log=logs())
@quiet
def test_nothing_is_lost_and_each_call_comes_in_one_piece(log: list[Delta]) -> None:
    deltas = [event for event in log if isinstance(event, DELTAS)]
    found = ordered(list(deltas))
    assert fold(found).choice() == fold(deltas).choice()
    said = [event for event in found if not isinstance(event, ToolCallDelta) or event.arguments or event.name]
    calls = [event.index if isinstance(event, ToolCallDelta) else None for event in said]
    runs = [index for index, _ in groupby(calls) if index is not None]
    assert len(runs) == len(set(runs))


@given(values=st.lists(st.dictionaries(texts, values, max_size=3), min_size=1, max_size=3), size=st.integers(1, 4))
@quiet
def test_calls_that_follow_one_another_never_wait(values: list[object], size: int) -> None:
    order = Contiguous()
    for index, value in enumerate(values):
        arguments = json.dumps(value, ensure_ascii=False)
        for start in range(0, len(arguments), size):
            delta = ToolCallDelta(index, arguments=arguments[start : start + size])
            assert order.add(delta) == [delta]
    assert order.add(Text("a")) == [Text("a")]
    assert order.close() == []


def test_a_call_is_only_whole_when_its_text_is_closed() -> None:
    order = Contiguous()
    opened = ToolCallDelta(0, "c", "now", '{"a":"}\\')
    more = ToolCallDelta(0, arguments='"}')
    last = ToolCallDelta(0, arguments='"}')
    assert order.add(opened) == [opened]
    assert order.add(Text("b")) == []
    assert order.add(more) == [more]
    assert order.add(last) == [last, Text("b")]
