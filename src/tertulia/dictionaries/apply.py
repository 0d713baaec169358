"""Applies dictionaries to a text. Source: characters, 4.0 "Chat dictionaries (current service)".

Passes are repeated until nothing changes. Everything that the outcome hangs on is handed in: chance, the time, the
tokeniser, the state of the chat, the regex engine. A rule rolls its probability once a call.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal

import msgspec

from tertulia.dictionaries.rules import Compile, Dictionary, Pattern, Phase, Rule, Spans, regex_of
from tertulia.dictionaries.templates import Template, fill, parse_template

MAX_ITERATIONS: Final = 20
_MAX_GROWTH: Final = 1 << 20  # characters
_MAX_REPLACEMENTS: Final = 100_000  # by one rule in one pass
_REGEX_SECONDS: Final = 0.05

Skip = Literal["probability", "cooldown", "delay", "regex_refused", "regex_budget"]


class State(msgspec.Struct, frozen=True):
    """What a chat remembers, by rule id, in seconds: when a rule was first in use, when it last hit."""

    loaded: dict[str, float] = {}
    last_hit: dict[str, float] = {}


class Prepared(msgspec.Struct, frozen=True):
    """A rule that is ready: literals as one pattern, regexes compiled; `refused` says why one is not run."""

    rule: Rule
    phase: Phase
    dictionary_id: str
    finder: Pattern | None
    literal: re.Pattern[str] | None
    template: Template
    refused: str = ""


class Hit(msgspec.Struct, frozen=True):
    """What one rule did in all: its first match before and after, and how often."""

    entry_id: str
    dictionary_id: str
    before: str
    after: str
    count: int


class Skipped(msgspec.Struct, frozen=True):
    """A rule that matched, or might have, and was held back; `detail` says why a regex is refused."""

    entry_id: str
    reason: Skip
    detail: str = ""

    @property
    def partial(self) -> bool:
        """Say whether the rule may have replaced some of its matches all the same."""
        return self.reason == "regex_budget"


class Processed(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome. `truncated`: the text would have grown by more than 1 MiB, and processing stopped."""

    original_text: str
    processed_text: str
    replacements: int
    iterations: int
    hits: tuple[Hit, ...]
    skipped: tuple[Skipped, ...]
    token_budget_exceeded: bool
    token_budget_used: int
    truncated: bool
    state: State

    @property
    def entries_used(self) -> list[str]:
        """Give the ids of the rules that replaced something."""
        return [hit.entry_id for hit in self.hits]


def prepare(dictionaries: Sequence[Dictionary], compile_: Compile) -> tuple[Prepared, ...]:
    """Make the rules of dictionaries ready, in the order in which they are applied. Keep it with their versions."""
    return tuple(
        _prepared(rule, dictionary, compile_)
        for dictionary in dictionaries
        for rule in _ordered(dictionary)
        if rule.enabled and rule.pattern
    )


def _ordered(dictionary: Dictionary) -> list[Rule]:
    """Give the rules as they are applied, those that have no id yet named by their place."""
    named = (
        rule if rule.id else msgspec.structs.replace(rule, id=f"{dictionary.id or dictionary.name}.{index}")
        for index, rule in enumerate(dictionary.entries)
    )
    return sorted(named, key=lambda rule: rule.sort_order)


def _prepared(rule: Rule, dictionary: Dictionary, compile_: Compile) -> Prepared:
    phase = rule.phase or dictionary.phase
    if rule.type == "literal":
        literal = re.compile(re.escape(rule.pattern), 0 if rule.case_sensitive else re.IGNORECASE)
        return Prepared(rule, phase, dictionary.id, None, literal, (rule.replacement,))
    compiled = compile_(*regex_of(rule))
    if isinstance(compiled, str):
        return Prepared(rule, phase, dictionary.id, None, None, (), compiled)
    return Prepared(rule, phase, dictionary.id, compiled, None, parse_template(rule.replacement, compiled.names))


def smallest_budget(dictionaries: Sequence[Dictionary]) -> int | None:
    """Give the budget that holds where a call names none: the smallest default."""
    return min((one.default_token_budget for one in dictionaries if one.default_token_budget), default=None)


def process(
    rules: Sequence[Prepared],
    text: str,
    phase: Literal["pre", "post"],
    *,
    random: Callable[[], float],
    now: float,
    count_tokens: Callable[[str], int],
    state: State | None = None,
    group: str | None = None,
    max_iterations: int = 5,
    token_budget: int | None = None,
) -> Processed:
    """Apply the rules of a phase to a text; `now` is in seconds, `group` takes only the rules of one group.

    With a token budget a rule replaces once a pass, and processing stops as soon as the text is over it.
    """
    chosen = [one for one in rules if one.phase in (phase, "both") and group in (None, one.rule.group)]
    run = _Run(text, random, now, state or State(), count_tokens, token_budget)
    iterations = 0
    for _ in range(min(max(max_iterations, 1), MAX_ITERATIONS)):
        if run.stopped:
            break
        iterations += 1
        if not run.run_pass(chosen):
            break
    return run.outcome(iterations)


class _Run:
    """One text on its way through the rules."""

    def __init__(
        self,
        text: str,
        random: Callable[[], float],
        now: float,
        state: State,
        count_tokens: Callable[[str], int],
        token_budget: int | None,
    ) -> None:
        self._original = text
        self._text = text
        self._random = random
        self._now = now
        self._state = State(dict(state.loaded), dict(state.last_hit))
        self._count_tokens = count_tokens
        self._budget = token_budget
        self._seconds = _REGEX_SECONDS
        self._hits: dict[str, Hit] = {}
        self._skipped: dict[str, Skipped] = {}
        self._rolled: dict[str, bool] = {}
        self._exceeded = False
        self._truncated = False

    @property
    def stopped(self) -> bool:
        return self._exceeded or self._truncated

    def run_pass(self, rules: Sequence[Prepared]) -> bool:
        """Apply each rule once; say whether the text changed."""
        before = self._text
        for rule in rules:
            self._apply(rule)
            if self.stopped:
                break
        return self._text != before

    def _apply(self, prepared: Prepared) -> None:
        rule = prepared.rule
        self._state.loaded.setdefault(rule.id, self._now)
        if prepared.refused:
            self._skip(rule, "regex_refused", prepared.refused)
            return
        allowed = self._allowed(rule)
        if allowed == 0 or not self._matches(prepared) or not self._may(rule):
            return
        self._replace(prepared, allowed)

    def _allowed(self, rule: Rule) -> int | None:
        """Give how many replacements a rule has left; None: as many as there are."""
        if not rule.max_replacements:
            return None if self._budget is None else 1
        hit = self._hits.get(rule.id)
        return max(rule.max_replacements - (hit.count if hit else 0), 0)

    def _matches(self, prepared: Prepared) -> bool:
        return next(self._found(prepared), None) is not None

    def _found(self, prepared: Prepared) -> Iterator[Spans]:
        """Yield the matches in the text as it is; regexes only as long as their time lasts."""
        if prepared.literal is not None:
            yield from ((found.span(),) for found in prepared.literal.finditer(self._text))
            return
        since = time.thread_time()
        for spans in prepared.finder.spans(self._text, seconds=self._seconds) if prepared.finder else ():
            self._seconds -= time.thread_time() - since
            since = time.thread_time()
            if spans is None:
                self._skip(prepared.rule, "regex_budget")
                return
            yield spans
            since = time.thread_time()
        self._seconds -= time.thread_time() - since

    def _may(self, rule: Rule) -> bool:
        timed = rule.timed_effects
        last = self._state.last_hit.get(rule.id)
        if not self._wins_roll(rule):
            return self._skip(rule, "probability")
        if timed.cooldown > 0 and last is not None and self._now - last < timed.cooldown:
            return self._skip(rule, "cooldown")
        if timed.delay > 0 and last is None and self._now - self._state.loaded[rule.id] < timed.delay:
            return self._skip(rule, "delay")
        return True

    def _wins_roll(self, rule: Rule) -> bool:
        if rule.probability >= 1:
            return True
        if rule.id not in self._rolled:
            self._rolled[rule.id] = self._random() < rule.probability
        return self._rolled[rule.id]

    def _skip(self, rule: Rule, reason: Skip, detail: str = "") -> bool:
        self._skipped[rule.id] = Skipped(rule.id, reason, detail)
        return False

    def _replace(self, prepared: Prepared, allowed: int | None) -> None:
        parts: list[str] = []
        done = count = grown = 0
        before = after = ""
        for spans in self._found(prepared):
            whole = spans[0] or (0, 0)
            if count >= (_MAX_REPLACEMENTS if allowed is None else allowed):
                break
            new = fill(prepared.template, self._text, spans)
            grown += len(new) - (whole[1] - whole[0])
            if len(self._text) + grown > len(self._original) + _MAX_GROWTH:
                self._truncated = True
                break
            if not count:
                before, after = self._text[whole[0] : whole[1]], new
            parts += [self._text[done : whole[0]], new]
            done, count = whole[1], count + 1
        if count:
            self._text = "".join([*parts, self._text[done:]])
            self._note(prepared, Hit(prepared.rule.id, prepared.dictionary_id, before, after, count))

    def _note(self, prepared: Prepared, hit: Hit) -> None:
        known = self._hits.get(hit.entry_id)
        self._hits[hit.entry_id] = msgspec.structs.replace(known, count=known.count + hit.count) if known else hit
        self._state.last_hit[prepared.rule.id] = self._now
        self._exceeded = self._budget is not None and self._count_tokens(self._text) > self._budget

    def outcome(self, iterations: int) -> Processed:
        return Processed(
            original_text=self._original,
            processed_text=self._text,
            replacements=sum(hit.count for hit in self._hits.values()),
            iterations=iterations,
            hits=tuple(self._hits.values()),
            skipped=tuple(one for one in self._skipped.values() if one.entry_id not in self._hits or one.partial),
            token_budget_exceeded=self._exceeded,
            token_budget_used=self._count_tokens(self._text),
            truncated=self._truncated,
            state=self._state,
        )
