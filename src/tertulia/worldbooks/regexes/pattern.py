"""Patterns whose cost is bounded before they run.

Every pattern is parsed, weighed and then matched by RE2 in linear time, in windows of the text so that no single call
is long. One with look-around or references back is first tried widened in RE2, and only where that matches handed to
the `regex` module with a time-out. What a scan spends on patterns in all is a `Budget`. Sources: dependencies, 12
"Safe regex"; promise 38.
"""

import time
from collections.abc import Callable, Iterator
from enum import Enum, StrEnum
from functools import cached_property, lru_cache
from typing import Any, Final, cast

import msgspec
import re2 as _re2  # pyright: ignore[reportMissingTypeStubs]
import regex

from tertulia.worldbooks.regexes import emit
from tertulia.worldbooks.regexes.atoms import Atoms, required
from tertulia.worldbooks.regexes.cursor import RegexSyntaxError
from tertulia.worldbooks.regexes.javascript import RegexTooDeep, parse
from tertulia.worldbooks.regexes.nodes import Expression

re2: Final = cast("Any", _re2)  # it ships no types
MAX_LENGTH: Final = 1000  # characters of a pattern
MAX_WEIGHT: Final = 2000  # nodes, counted repeats written out
MAX_PROGRAM: Final = 4000  # RE2 instructions
_WORK: Final = 4_000_000  # instructions × bytes in one call: some 20 ms where RE2 has to fall back to its NFA
_MIN_WINDOW: Final = 2048  # bytes
_BACKTRACK_WINDOW: Final = 32_768  # code points
_BACKTRACK_SECONDS: Final = 0.01


class Refusal(StrEnum):
    """Why a pattern is not run."""

    SYNTAX = "syntax"  # no JavaScript regex
    TOO_LONG = "too_long"
    TOO_DEEP = "too_deep"
    TOO_LARGE = "too_large"  # once its repeats are written out


class Verdict(Enum):
    """What came of looking for a pattern."""

    HIT = "hit"
    MISS = "miss"
    SLOW = "slow"  # this pattern ran out of its own time
    SPENT = "spent"  # the scan has no time left for patterns
    REFUSED = "refused"  # too large for the matcher, or a property that it does not know


class Budget:
    """The processor time that one scan may spend on patterns; wall time would make a busy machine forget keys."""

    __slots__ = ("_left",)

    def __init__(self, seconds: float) -> None:
        self._left = int(seconds * 1_000_000_000)

    @property
    def nanoseconds(self) -> int:
        """Give what is left; at most 0 when spent."""
        return self._left

    def charge(self, since: int) -> None:
        """Take off what passed on this thread since a reading of `time.thread_time_ns`."""
        self._left -= time.thread_time_ns() - since


class Haystack:
    """A text with its UTF-8 bytes, encoded once for all patterns."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def data(self) -> bytes:
        """Give the bytes; a lone surrogate becomes `?`."""
        return self.text.encode(errors="replace")

    def to_bytes(self, at: int) -> int:
        """Turn an offset in code points into one in bytes."""
        return at if len(self.data) == len(self.text) else len(self.text[:at].encode(errors="replace"))

    def to_text(self, at: int) -> int:
        """Turn an offset in bytes into one in code points."""
        return at if len(self.data) == len(self.text) else len(self.data[:at].decode(errors="ignore"))


class Found(msgspec.Struct, frozen=True):
    """A match: offsets in code points, and the spans of the groups by number (None: took no part)."""

    start: int
    end: int
    groups: tuple[tuple[int, int] | None, ...] = ()


Outcome = tuple[Verdict, Found | None]
_MISS: Final[Outcome] = (Verdict.MISS, None)


class Pattern:
    """One parsed pattern. The engines are made when first needed, and shared by equal patterns."""

    def __init__(self, expression: Expression, *, capture: bool) -> None:
        self._expression = expression
        self._capture = capture
        self._looks = emit.needs_backtracking(expression.root)

    @property
    def names(self) -> dict[str, int]:
        """Give the numbers of the named groups."""
        return self._expression.names

    @cached_property
    def atoms(self) -> Atoms:
        """Give lower-case texts of which one must be in a lower-cased text that matches; empty: anything may."""
        return required(self._expression.root)

    def test(self, hay: Haystack, budget: Budget) -> Verdict:
        """Say whether the pattern matches anywhere."""
        return self.find(hay, budget)[0]

    def find(self, hay: Haystack, budget: Budget, start: int = 0) -> Outcome:
        """Look for the first match from a code point on; a match is given with `HIT` alone."""
        if budget.nanoseconds <= 0:
            return Verdict.SPENT, None
        since = time.thread_time_ns()
        try:
            return self._find(hay, start, since + budget.nanoseconds)
        finally:
            budget.charge(since)

    def matches(self, hay: Haystack, budget: Budget) -> Iterator[Outcome]:
        """Yield every match from the left as `HIT`; then, where the search could not go on, why."""
        at = 0
        while at <= len(hay.text):
            verdict, found = self.find(hay, budget, at)
            if verdict is Verdict.MISS:
                return
            yield verdict, found
            if found is None:
                return
            at = found.end if found.end > found.start else found.end + 1

    def spans(self, text: str, *, seconds: float) -> Iterator[tuple[tuple[int, int] | None, ...] | None]:
        """Yield the spans of the groups of each match, the whole first; None at the end when time ran out."""
        for _, found in self.matches(Haystack(text), Budget(seconds)):
            yield None if found is None else found.groups

    def _find(self, hay: Haystack, start: int, deadline: int) -> Outcome:
        linear = _linear(self._linear_source)
        if linear is None:
            return Verdict.REFUSED, None
        verdict, match = _windows(linear, hay.data, hay.to_bytes(start), deadline)
        if match is None:
            return verdict, None
        if self._looks:
            return self._backtrack(hay, start, deadline)
        return verdict, _found(match, linear.groups, hay.to_text)

    def _backtrack(self, hay: Haystack, start: int, deadline: int) -> Outcome:
        engine = _backtracker(self._backtracker_source)
        if engine is None:
            return Verdict.REFUSED, None
        left = (deadline - time.thread_time_ns()) / 1_000_000_000
        try:
            seconds = max(min(_BACKTRACK_SECONDS, left), 0.0001)
            match = engine.search(hay.text, start, start + _BACKTRACK_WINDOW, timeout=seconds)
        except (TimeoutError, MemoryError):
            return Verdict.SLOW, None
        return _MISS if match is None else (Verdict.HIT, _found(match, engine.groups, lambda at: at))

    @cached_property
    def _linear_source(self) -> str:
        return emit.to_re2(self._expression, capture=self._capture)

    @cached_property
    def _backtracker_source(self) -> str:
        return emit.to_regex(self._expression, capture=self._capture)


def compile_pattern(body: str, flags: str = "", *, capture: bool = False) -> Pattern | Refusal:
    """Parse the text between the slashes of a JavaScript regex; `capture` keeps its groups for `Found.groups`."""
    if len(body) > MAX_LENGTH:
        return Refusal.TOO_LONG
    try:
        expression = parse(body, flags)
    except RegexSyntaxError:
        return Refusal.SYNTAX
    except RegexTooDeep:
        return Refusal.TOO_DEEP
    if emit.weight(expression.root) > MAX_WEIGHT:
        return Refusal.TOO_LARGE
    return Pattern(expression, capture=capture)


def _windows(linear: Any, data: bytes, start: int, deadline: int) -> tuple[Verdict, Any]:
    r"""Search window by window, each overlapping the one before by half, so that one call costs a bounded time.

    RE2 sees the bytes around a window: edges and `\b` mean what they mean in the whole text.
    """
    size = max(_MIN_WINDOW, _WORK // linear.programsize)
    while True:
        match = linear.search(data, start, start + size)
        if match is not None:
            return Verdict.HIT, match
        if start + size >= len(data):
            return Verdict.MISS, None
        if time.thread_time_ns() >= deadline:
            return Verdict.SPENT, None
        start += size // 2


def _found(match: Any, groups: int, place: Callable[[int], int]) -> Found:
    spans = [cast("tuple[int, int]", match.span(number)) for number in range(groups + 1)]
    places = [None if start < 0 else (place(start), place(end)) for start, end in spans]
    whole = places[0] or (0, 0)
    return Found(whole[0], whole[1], tuple(places))


@lru_cache(maxsize=4096)
def _linear(pattern: str) -> Any | None:
    """Compile for RE2; None when it refuses the pattern or makes too large a program of it."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        engine = re2.compile(pattern, options)
    except re2.error:
        return None
    return engine if engine.programsize <= MAX_PROGRAM else None


@lru_cache(maxsize=512)
def _backtracker(pattern: str) -> Any | None:
    try:
        return regex.compile(pattern)
    except (regex.error, MemoryError, RecursionError):
        return None
