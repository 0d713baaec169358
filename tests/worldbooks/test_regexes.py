"""JavaScript's meaning, kept in other engines; and patterns that would stall, which do not."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.worldbooks.regexes import Budget, Found, Haystack, Pattern, Refusal, Verdict, compile_pattern

# What a JavaScript engine answers to new RegExp(pattern, flags).test(text).
TABLE = [
    ("king", "", "the king", True),
    ("KING", "", "the king", False),
    ("KING", "i", "the king", True),
    ("^a", "", "b\na", False),
    ("^a", "m", "b\na", True),
    ("a$", "", "a\n", False),
    ("a$", "m", "a\nb", True),
    ("a.b", "", "a\nb", False),
    ("a.b", "s", "a\nb", True),
    ("a[^]b", "", "a\nb", True),
    ("[]", "", "a", False),
    ("x", "y", "ax", False),
    ("a", "y", "ax", True),
    (r"\d", "", "٣", False),
    (r"\w", "", "é", False),
    (r"\W", "i", "k", False),
    (r"[\W]", "i", "s", False),
    (r"\bcaf\b", "", "café", True),
    (r"\s", "", "\u3000", True),
    (r"\s", "", "\ufeff", True),
    (r"\S", "", "\u00a0", False),
    (r"(?<name>a)\k<name>", "", "aa", True),
    (r"(a)|b\1", "", "b", True),
    (r"\1(a)", "", "a", True),
    (r"(?<!un)happy", "", "unhappy", False),
    (r"(?<!un)happy", "", "so happy", True),
    (r"king(?!dom)", "", "kingdom kings", True),
    (r"(?=.*sword)(?=.*shield)", "", "a shield, a sword", True),
    (r"(?<=\$)\d+", "", "$42", True),
    (r"\x41\u0042\x", "", "ABx", True),
    (r"\u{41}", "u", "A", True),
    (r"\u{41}", "", "u" * 41, True),
    (r"\u{110000}", "u", "x", None),
    (r"\ud83d\ude00", "", "😀", True),
    (r"\p{Script=Greek}", "u", "λ", True),
    (r"\p{L}", "", "p{L}", True),
    (r"\cA", "", "\x01", True),
    (r"\c", "", "\\c", True),
    (r"\0", "", "\x00", True),
    (r"\101", "", "A", True),
    (r"\8", "", "8", True),
    (r"\_", "", "_", True),
    (r"\_", "u", "_", None),
    ("a{", "", "a{", True),
    ("a{", "u", "a{", None),
    ("a{,2}", "", "a{,2}", True),
    ("a{2,1}", "", "aa", None),
    ("]", "", "]", True),
    ("[b-a]", "", "a", None),
    (r"[\w-a]", "", "-", True),
    (r"[\w-a]", "u", "-", None),
    ("(", "", "(", None),
    (")", "", ")", None),
    ("*", "", "*", None),
    ("a**", "", "a", None),
    ("(?=a)*", "", "b", True),
    ("(?=a)*", "u", "b", None),
    ("(?<=a)*", "", "b", None),
    ("(?:a|b){2}?c", "", "abc", True),
    ("(?i:A)b", "", "ab", True),
    ("(?i:A)b", "", "aB", False),
    ("(?i-i:A)", "", "a", None),
    ("(?<n>a)(?<n>b)", "", "ab", None),
    (r"\k<no>(?<n>a)", "", "a", None),
    ("x", "gg", "x", None),
    ("x", "q", "x", None),
    ("a\\", "", "a", None),
]


@pytest.mark.parametrize(("pattern", "flags", "text", "expected"), TABLE)
def test_as_javascript(pattern: str, flags: str, text: str, expected: bool | None) -> None:
    compiled = compile_pattern(pattern, flags)
    if expected is None:
        assert compiled is Refusal.SYNTAX
    else:
        assert isinstance(compiled, Pattern)
        assert compiled.test(Haystack(text), Budget(1)) is (Verdict.HIT if expected else Verdict.MISS)


def test_what_is_refused_is_a_value() -> None:
    assert compile_pattern("x" * 1001) is Refusal.TOO_LONG
    assert compile_pattern("(" * 41 + ")" * 41) is Refusal.TOO_DEEP
    assert compile_pattern("(?:x{100}){100}") is Refusal.TOO_LARGE
    assert compile_pattern("(?=((((a?){100}){100}){100}){100}b)c") is Refusal.TOO_LARGE
    odd = compile_pattern(r"\p{Nonsense}", "u")
    assert isinstance(odd, Pattern)
    assert odd.test(Haystack("x"), Budget(1)) is Verdict.REFUSED


SLOW = [
    "(a+)+$", "^(a+)+$", "(a|aa)+$", "(a|a?)+$", "(.*a){20}$", "(x+x+)+y", r"(\w+\s?)*(?=!)$", r"(a*)*\1b",
    "(?=(a+)+b)a", "(?:(a+)(?=b|a))+$", "((a*)*)*(?=z)b", "(?=(?:.*,){11}P)z", "(?<=(a+)+b)c", "[ab]{999}c",
    "(?=.*a.*a.*a.*a.*a.*x)a", "(a{1,30}){1,30}(?=c)d", r"((a|b)\1?){5,40}(?!a)x", ".{0,200}x.{0,200}y",
]  # fmt: skip
LONG = ["a" * 40 + "!", "a" * 30_000 + "!", "ab" * 15_000, "a " * 15_000, "é" * 20_000]


@pytest.mark.promise(38)
@pytest.mark.parametrize("pattern", SLOW)
def test_no_pattern_stalls(pattern: str) -> None:
    compiled = compile_pattern(pattern)
    assert isinstance(compiled, Pattern)
    for text in LONG:
        started = time.thread_time()
        verdict = compiled.test(Haystack(text), Budget(0.02))
        spent = time.thread_time() - started
        assert verdict in Verdict
        assert spent < 0.1


@pytest.mark.promise(38)
def test_a_scan_has_one_budget_for_all_its_patterns() -> None:
    budget = Budget(0.02)
    hay = Haystack("a" * 30_000 + "!")
    compiled = [compile_pattern(pattern) for pattern in SLOW]
    started = time.thread_time()
    verdicts = [one.test(hay, budget) for one in compiled for _ in range(20) if isinstance(one, Pattern)]
    spent = time.thread_time() - started
    assert verdicts[-1] is Verdict.SPENT
    assert spent < 0.2


def test_long_texts_are_searched_to_their_end() -> None:
    needle = compile_pattern("[a-c]{0,60}needle")
    assert isinstance(needle, Pattern)
    text = "x" * 500_000 + "abcneedle" + "x" * 10
    verdict, found = needle.find(Haystack(text), Budget(5))
    assert (verdict, found) == (Verdict.HIT, Found(500_000, 500_009, ((500_000, 500_009),)))
    edge = compile_pattern(r"^needle|needle$|\bneedle\b")
    assert isinstance(edge, Pattern)
    assert edge.test(Haystack(text), Budget(5)) is Verdict.MISS


def test_offsets_are_code_points_and_groups_are_kept_when_asked() -> None:
    compiled = compile_pattern(r"(?<first>\w+)-(é)?(x)?", capture=True)
    assert isinstance(compiled, Pattern)
    _, found = compiled.find(Haystack("ää ab-é"), Budget(1))
    assert found == Found(3, 7, ((3, 7), (3, 5), (6, 7), None))
    assert compiled.names == {"first": 1}
    looking = compile_pattern(r"(?<=(ä) )(ab)", capture=True)
    assert isinstance(looking, Pattern)
    assert list(looking.spans("ää ab", seconds=1)) == [((3, 5), (1, 2), (3, 5))]


def test_matches_go_on_from_the_left() -> None:
    compiled = compile_pattern("a*")
    assert isinstance(compiled, Pattern)
    found = [match for _, match in compiled.matches(Haystack("aab"), Budget(1)) if match]
    assert [(match.start, match.end) for match in found] == [(0, 2), (2, 2), (3, 3)]


@given(st.text(alphabet="ab(|)*+?{}1[]^\\.$-", max_size=12), st.text(alphabet="ab1\n", max_size=12))
def test_what_matches_holds_an_atom(pattern: str, text: str) -> None:
    compiled = compile_pattern(pattern)
    if isinstance(compiled, Pattern) and compiled.test(Haystack(text), Budget(1)) is Verdict.HIT and compiled.atoms:
        assert any(atom in text.lower() for atom in compiled.atoms)


@given(st.text(max_size=40), st.sampled_from(("", "i", "u", "gimsuy")), st.text(max_size=20))
def test_no_pattern_raises(pattern: str, flags: str, text: str) -> None:
    compiled = compile_pattern(pattern, flags)
    if isinstance(compiled, Pattern):
        assert compiled.test(Haystack(text), Budget(0.1)) in Verdict
    else:
        assert compiled in Refusal
