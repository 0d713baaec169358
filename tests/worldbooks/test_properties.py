"""What holds for every book, every text, every setting."""

import random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tertulia.worldbooks.activation import activate
from tertulia.worldbooks.entries import decode_entry, encode_entry
from tertulia.worldbooks.index import prepare
from tertulia.worldbooks.lorebook import Lorebook
from tertulia.worldbooks.process import count_words, read_bench, report, run_bench
from tertulia.worldbooks.settings import Message, ScanSettings, Scene
from tertulia.worldbooks.shelf import PlacedBook
from tertulia.worldbooks.timed import decode_state
from tests.worldbooks.reference import Reference
from tests.worldbooks.scanning import book, numbers, scan, uids
from tests.worldbooks.test_vectors import NOW

WORDS = ("cat", "dog", "catdog", "ice", "ice king", "Cat", "é", "cafés", "a-b", "猫", "dog cat", "x")
word = st.sampled_from(WORDS)
line = st.lists(word, max_size=6).map(" ".join)

entry = st.fixed_dictionaries(
    {},
    optional={
        "key": st.lists(word, max_size=3),
        "keysecondary": st.lists(word, max_size=2),
        "selectiveLogic": st.integers(0, 3),
        "content": line,
        "constant": st.booleans(),
        "disable": st.booleans(),
        "order": st.integers(0, 3),
        "ignoreBudget": st.booleans(),
        "excludeRecursion": st.booleans(),
        "preventRecursion": st.booleans(),
        "delayUntilRecursion": st.integers(0, 2),
        "probability": st.sampled_from((0, 50, 100)),
        "group": st.sampled_from(("", "g", "h")),
        "groupOverride": st.booleans(),
        "groupWeight": st.integers(1, 3),
        "scanDepth": st.sampled_from((None, 0, 1, 3)),
        "caseSensitive": st.sampled_from((None, True)),
    },
)
scan_settings = st.fixed_dictionaries(
    {
        "depth": st.integers(0, 3),
        "recursive": st.booleans(),
        "max_recursion_steps": st.integers(0, 4),
        "min_activations": st.integers(0, 4),
        "match_whole_words": st.booleans(),
        "use_group_scoring": st.booleans(),
        "max_context": st.sampled_from((20, 60, 1000)),
    }
)


@settings(max_examples=300)
@given(st.lists(entry, max_size=7), st.lists(line, max_size=4), scan_settings, st.integers())
def test_the_index_finds_what_looking_at_everything_finds(
    entries: list[dict[str, Any]], lines: list[str], chosen: dict[str, Any], seed: int
) -> None:
    numbered = [{**one, "uid": uid} for uid, one in enumerate(entries)]
    dice = random.Random(seed)
    rng = tuple(dice.random() for _ in range(100))
    found = scan(numbered, *lines, settings=chosen, rng=rng)
    reference = Reference(
        [encode_entry(decode_entry(one)) for one in numbered],
        lines,
        {**chosen, "budget": ScanSettings(max_context=chosen["max_context"]).token_budget},
        numbers(*rng),
    )
    assert uids(found) == reference.run()
    assert found.overflow == reference.overflow


@given(st.lists(entry, max_size=7), st.lists(line, max_size=4), scan_settings, st.integers())
def test_the_budget_holds_for_all_that_do_not_ignore_it(
    entries: list[dict[str, Any]], lines: list[str], chosen: dict[str, Any], seed: int
) -> None:
    numbered = [{**one, "uid": uid, "ignoreBudget": False} for uid, one in enumerate(entries)]
    found = scan(numbered, *lines, settings=chosen, rng=(random.Random(seed).random(),))
    assert found.tokens_used < found.token_budget
    assert found.tokens_used == sum(count_words(verdict.content) for verdict in found.fired)


@given(st.lists(entry, max_size=7), st.lists(line, max_size=4), scan_settings, st.integers())
def test_equal_dice_give_an_equal_outcome(
    entries: list[dict[str, Any]], lines: list[str], chosen: dict[str, Any], seed: int
) -> None:
    prepared = PlacedBook("global", prepare(book(*entries)))

    def outcome() -> object:
        return activate(
            [prepared],
            [Message("User", line) for line in lines],
            Scene(),
            settings=ScanSettings(**chosen),
            random=random.Random(seed).random,
            count_tokens=count_words,
            expand=str,
            explain=True,
        )

    assert outcome() == outcome()


@given(st.lists(entry, max_size=7), st.lists(line, max_size=4))
def test_nothing_is_inserted_twice_and_every_entry_has_one_verdict(
    entries: list[dict[str, Any]], lines: list[str]
) -> None:
    numbered = [{**one, "uid": uid} for uid, one in enumerate(entries)]
    found = scan(numbered, *lines, explain=True)
    told = [verdict.entry.uid for verdict in (*found.fired, *found.passed_over)]
    assert sorted(told) == list(range(len(entries)))  # pyright: ignore[reportArgumentType]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
FIELDS = [*encode_entry(decode_entry({})), "extensions", "other"]
wild_text = st.text(max_size=30) | st.sampled_from(
    ("/(a+)+$/", "/(?<!x)a/", "{{user}}", "@@activate\nx", "/[/", "\ud800", "\x01")
)
wild_entry = st.dictionaries(
    st.sampled_from([*FIELDS, "uid", "extensions", "other"]), anything | wild_text | st.lists(wild_text), max_size=12
)


@settings(max_examples=300)
@given(st.lists(wild_entry, max_size=5), st.lists(wild_text, max_size=3), st.booleans(), anything)
def test_no_entry_and_no_text_raises(
    entries: list[dict[str, Any]], lines: list[str], strict: bool, state: object
) -> None:
    made = Lorebook(name="b", entries=tuple(decode_entry(one, at) for at, one in enumerate(entries)))
    found = scan(made, *lines, settings={"st_strict": strict}, state=decode_state(state), explain=True)
    assert len(found.fired) + len(found.passed_over) == len(entries)
    again = scan(made, *lines, settings={"st_strict": strict}, state=decode_state(msgspec.to_builtins(found.timed)))
    assert again.token_budget == found.token_budget


@given(wild_entry)
def test_writing_an_entry_and_reading_it_again_changes_nothing(raw: dict[str, Any]) -> None:
    once = decode_entry(raw, 3)
    assert repr(decode_entry(encode_entry(once), 3)) == repr(once)  # repr, since NaN is not itself


@given(st.lists(wild_entry, max_size=3), st.dictionaries(st.text(max_size=8), anything, max_size=3))
def test_the_bench_ignores_unknown_keys_of_settings_and_context(
    entries: list[dict[str, Any]], more: dict[str, Any]
) -> None:
    known = {*ScanSettings.__struct_fields__, *Scene.__struct_fields__}
    extra = {f"x {name}": value for name, value in more.items() if name not in known}
    form = {"settings": extra, "context": extra, "books": {"chat": entries}, "chat": [["User", "cat"]]}
    got = report(run_bench(read_bench(form), count_tokens=count_words, now=NOW))
    assert len(got["entries"]) == len(entries)
