"""Replacing: order, repetition, chance, time, budgets; and texts that would stall or grow without end."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.dictionaries.apply import Hit, Skipped, prepare, process, smallest_budget
from tertulia.dictionaries.rules import Dictionary, IncludeCycle, Rule, TimedEffects, in_order
from tests.dictionaries.making import COMPILE, apply, rule, words


@pytest.mark.parametrize(
    ("text", "made", "expected"),
    [
        ("a cat", rule("cat", "dog"), "a dog"),
        ("a Cat", rule("cat", "dog"), "a Cat"),
        ("a Cat", rule("cat", "dog", case_sensitive=False), "a dog"),
        ("a.c abc", rule("a.c", "x"), "x abc"),  # a literal is no pattern
        ("x", rule("x", r"\1 $1"), r"\1 $1"),  # nor is its replacement
        ("a1 b22", rule(r"(\w)(\d+)", r"\2\1", type="regex"), "1a 22b"),
        ("ab", rule("/(?<x>A)(b)/i", r"\g<x>-\g<2>-\g<0>", type="regex"), "a-b-ab"),
        ("ab", rule("(?P<x>a)(?P=x)?b", r"[\g<x>]", type="regex"), "[a]"),
        ("ab", rule("A", "x", type="regex", case_sensitive=False), "xb"),
        ("a b", rule(r"a\ b", r"\n\t\\", type="regex"), "\n\t\\"),
        ("a", rule("a", r"\7\g<none>.", type="regex"), r"\g<none>."),
        ("ab12", rule("/ [a-z]+  # letters\n (\\d) /x", "<\\1>", type="regex"), "<1>2"),
        ("1 2", rule(r"(?<=1 )2", "two", type="regex"), "1 two"),
        ("a\nb", rule("/^b/m", "c", type="regex"), "a\nc"),
        ("aaa", rule("a", "b", max_replacements=2), "bba"),
        ("x", rule("x", "y", enabled=False), "x"),
    ],
)
def test_one_rule(text: str, made: Rule, expected: str) -> None:
    assert apply(text, made, max_iterations=1).processed_text == expected


def test_rules_apply_in_order_and_again_until_nothing_changes() -> None:
    got = apply("a", rule("b", "c"), rule("a", "b"))
    assert (got.processed_text, got.iterations, got.replacements) == ("c", 3, 2)
    assert apply("a", rule("b", "c"), rule("a", "b"), max_iterations=1).processed_text == "b"
    assert got.entries_used == ["a", "b"]
    assert got.hits[0] == Hit("a", "d", "a", "b", 1)


def test_iterations_are_bounded() -> None:
    assert apply("a", rule("a", "aa")).processed_text == "a" * 32
    swapped = apply("ab", rule("ab", "ba"), rule("ba", "ab"), max_iterations=99)
    assert swapped.iterations <= 20


def test_probability_is_rolled_once_a_call() -> None:
    half = rule("x", "y", probability=0.5)
    assert apply("x", half, rng=(0.4,)).processed_text == "y"
    lost = apply("x", half, rule("a", "b"), rng=(0.6, 0.1, 0.1))
    assert lost.processed_text == "x"
    assert lost.skipped == (Skipped("x", "probability"),)
    lost = apply("x a", half, rule("a", "b"), rng=(0.6, 0.1, 0.1))
    assert lost.processed_text == "x b"
    assert apply("x", rule("x", "y", probability=0), rng=(0.0,)).processed_text == "x"


def test_groups_choose_rules() -> None:
    rules = rule("a", "1", group="g"), rule("b", "2"), rule("c", "3", group="h")
    assert apply("abc", *rules, group="g").processed_text == "1bc"
    assert apply("abc", *rules).processed_text == "123"


@pytest.mark.parametrize(
    ("of", "own", "pre", "post"),
    [
        ("pre", None, "y", "x"),
        ("post", None, "x", "y"),
        ("both", None, "y", "y"),
        ("pre", "post", "x", "y"),
        ("post", "both", "y", "y"),
    ],
)
def test_phases(of: str, own: Any, pre: str, post: str) -> None:
    made = rule("x", "y", phase=own)
    assert apply("x", made, of=of, phase="pre").processed_text == pre
    assert apply("x", made, of=of, phase="post").processed_text == post


def test_cooldown_and_delay_are_in_seconds() -> None:
    cooling = rule("x", "y", timed_effects=TimedEffects(cooldown=10))
    first = apply("x", cooling, now=100)
    assert first.processed_text == "y"
    second = apply("x", cooling, now=105, state=first.state)
    assert (second.processed_text, second.skipped) == ("x", (Skipped("x", "cooldown"),))
    assert apply("x", cooling, now=110, state=first.state).processed_text == "y"
    late = rule("x", "y", timed_effects=TimedEffects(delay=10))
    waits = apply("x", late, now=100)
    assert (waits.processed_text, waits.skipped) == ("x", (Skipped("x", "delay"),))
    assert apply("x", late, now=111, state=waits.state).processed_text == "y"


def test_a_token_budget_stops_processing() -> None:
    rules = rule("a", "a b"), rule("c", "d")
    got = apply("a c", *rules, token_budget=2)
    assert (got.processed_text, got.token_budget_exceeded, got.token_budget_used) == ("a b c", True, 3)
    assert apply("x x x", rule("x", "y"), token_budget=9, max_iterations=1).processed_text == "y x x"
    assert smallest_budget([Dictionary(name="a"), Dictionary(name="b", default_token_budget=7)]) == 7
    assert smallest_budget([Dictionary(name="a")]) is None


def test_refused_regexes_are_told_and_skipped() -> None:
    got = apply("aaa", rule("(a", "x", type="regex"), rule("(?:a{900}){900}", "x", type="regex", id="big"))
    assert got.processed_text == "aaa"
    assert got.skipped == (Skipped("(a", "regex_refused", "syntax"), Skipped("big", "regex_refused", "too_large"))


@pytest.mark.promise(38)
@pytest.mark.parametrize("pattern", ["(a+)+$", r"(a*)*\1b", "(?=(a+)+b)a", "(a|aa)+(?!a)x", "a*", ""])
def test_hostile_patterns_do_not_stall(pattern: str) -> None:
    rules = [rule(f"(?:{pattern})", "b", type="regex", id=str(at)) for at in range(20)]
    started = time.thread_time()
    got = apply("a" * 50_000 + "!", *rules)
    assert time.thread_time() - started < 2
    assert len(got.processed_text) < 1 << 21


@pytest.mark.promise(38)
def test_growth_is_bounded() -> None:
    got = apply("a" * 1000, rule("a", "a" * 1000), max_iterations=20)
    assert got.truncated
    assert len(got.processed_text) <= 1000 + (1 << 20)


def test_rules_without_ids_are_told_apart() -> None:
    dictionary = Dictionary(name="d", entries=(Rule(pattern="a", replacement="b"), Rule(pattern="c", replacement="d")))
    got = process(prepare([dictionary], COMPILE), "ac", "pre", random=float, now=0, count_tokens=words)
    assert len(got.hits) == 2


# Includes


def dictionary(name: str, *includes: str, is_active: bool = True) -> Dictionary:
    return Dictionary(id=name, name=name, included_dictionary_ids=includes, is_active=is_active)


def named(*dictionaries: Dictionary) -> dict[str, Dictionary]:
    return {one.id: one for one in dictionaries}


def test_includes_come_first_and_once_the_rest_by_name() -> None:
    all_ = named(dictionary("b"), dictionary("A", "z", "b"), dictionary("z"), dictionary("c", "gone"))
    assert [one.name for one in in_order(all_)] == ["z", "b", "A", "c"]
    assert [one.name for one in in_order(all_, ["A", "nobody"])] == ["z", "b", "A"]


def test_an_inactive_one_is_passed_over() -> None:
    assert in_order(named(dictionary("a", "b"), dictionary("b", is_active=False)))[0].name == "a"


def test_a_cycle_is_an_error_that_names_it() -> None:
    with pytest.raises(IncludeCycle, match="a → b → a"):
        in_order(named(dictionary("a", "b"), dictionary("b", "a")))


PATTERNS = st.text(alphabet="ab(|)*+?.\\[]1", max_size=8)
rules = st.builds(
    Rule,
    id=st.text(max_size=2),
    pattern=PATTERNS,
    replacement=st.text(alphabet="ab\\1g<>", max_size=6),
    type=st.sampled_from(("literal", "regex")),
    probability=st.floats(0, 1),
    max_replacements=st.integers(0, 3),
    case_sensitive=st.booleans(),
)


@given(st.lists(rules, max_size=4), st.text(alphabet="abAB1\n\ud800", max_size=20), st.integers(0, 30) | st.none())
def test_no_rule_raises_and_equal_dice_give_an_equal_text(made: list[Rule], text: str, budget: int | None) -> None:
    first, second = (apply(text, *made, token_budget=budget) for _ in range(2))
    assert first == second
    assert len(first.processed_text) <= len(text) + (1 << 20)
    assert first.iterations <= 5
    assert (first.processed_text == text) or first.replacements > 0
