"""What a log comes to, whenever one looks (Architecture, invariant 1)."""

from hypothesis import given
from hypothesis import strategies as st

from tertulia.turn.events import (
    Attempt,
    Ended,
    Event,
    Image,
    Reasoning,
    Refusal,
    Started,
    Text,
    ToolCallDelta,
    UsageSeen,
    number,
)
from tertulia.turn.fold import Choice, Fold, fold
from tertulia.turn.unfold import unfold
from tertulia.turn.usage import Usage
from tests.turn.logs import DELTA, LOGS


def look(folded: Fold) -> tuple[object, ...]:
    return folded.choices(), folded.usage, folded.started, folded.ended


@given(LOGS, st.integers(0, 20))
def test_folding_on_is_folding_the_whole(log: list[Event], cut: int) -> None:
    going = fold(log[:cut])
    assert look(going) == look(fold(log[:cut]))  # to look changes nothing
    assert look(going.extend(log[cut:])) == look(fold(log))


@given(LOGS)
def test_every_prefix_is_a_whole(log: list[Event]) -> None:
    going = Fold()
    for n, event in enumerate(log):
        going.add(event)
        assert look(going) == look(fold(log[: n + 1]))


@given(LOGS)
def test_the_text_is_all_that_was_said_in_order(log: list[Event]) -> None:
    folded = fold(log)
    first = log[0]
    assert isinstance(first, Started)
    for index, choice in enumerate(folded.choices()):
        said = {
            kind: "".join(event.text for event in log if isinstance(event, kind) and event.choice == index)
            for kind in (Text, Reasoning, Refusal)
        }
        assert choice.text == (first.text if index == 0 else "") + said[Text]
        assert choice.reasoning == said[Reasoning]
        assert choice.refusal == said[Refusal]
        assert choice.images == tuple(e.url for e in log if isinstance(e, Image) and e.choice == index)
        arguments = "".join(e.arguments for e in log if isinstance(e, ToolCallDelta) and e.choice == index)
        assert sum(
            len(call.function.arguments) for call in choice.tool_calls if call.function.arguments != "{}"
        ) == len(arguments.replace("{}", "") if arguments == "{}" else arguments)


@given(LOGS)
def test_the_last_count_counts_of_the_provider_that_was_not_given_up(log: list[Event]) -> None:
    given_up = [n for n, event in enumerate(log) if isinstance(event, Attempt) and event.status == "failed"]
    answered = log[given_up[-1] + 1 :] if given_up else log
    counts = [event.usage for event in answered if isinstance(event, UsageSeen)]
    ended = log[-1] if isinstance(log[-1], Ended) else None
    expected = (ended.usage if ended else None) or (counts[-1] if counts else None)
    assert fold(log).usage == expected
    assert fold(log).ended is ended


@given(st.lists(DELTA, max_size=12))
def test_an_answer_that_is_told_again_folds_to_itself(deltas: list[Event]) -> None:
    for index, choice in enumerate(fold(deltas).choices()):
        again = fold(unfold(choice, index)).choices()
        assert len(again) == index + 1 or choice == Choice()
        assert again[-1].text == choice.text
        assert (again[-1].reasoning, again[-1].refusal, again[-1].images) == (
            choice.reasoning,
            choice.refusal,
            choice.images,
        )
        assert [(call.id, call.function, call.type) for call in again[-1].tool_calls] == [
            (call.id, call.function, call.type) for call in choice.tool_calls
        ]
        assert fold(unfold(again[-1], 0)).choice() == fold(unfold(choice, 0)).choice()


def test_fragments_of_calls_come_together_by_their_place() -> None:
    folded = fold([
        ToolCallDelta(1, "b", "second", '{"x"'),
        ToolCallDelta(0, "a", "first"),
        ToolCallDelta(1, arguments=": 1}"),
        ToolCallDelta(0, arguments=""),
    ])  # fmt: skip
    assert [(call.id, call.function.name, call.function.arguments) for call in folded.choice().tool_calls] == [
        ("a", "first", "{}"),
        ("b", "second", '{"x": 1}'),
    ]


def test_nothing_is_an_empty_answer() -> None:
    assert fold([]).choices() == (Choice(),)
    assert fold([]).choice().empty
    assert not fold([Text("x")]).choice().empty
    assert fold([Text("x", 2)]).choices() == (Choice(), Choice(), Choice(text="x"))


@given(st.integers(0, 2**31 - 1), st.integers(0, 2**32 - 1))
def test_numbers_grow_with_epoch_and_place(epoch: int, n: int) -> None:
    assert number(epoch, n) < number(epoch + 1, 0)
    assert number(epoch, n) >> 32 == epoch
    assert number(epoch, n) & 0xFFFF_FFFF == n


def test_a_usage_adds_up() -> None:
    assert Usage(3, 4, cached=2, reasoning=1).total == 7
