"""World-book activation, exactly as SillyTavern's: a pure function. Source: characters, 3 and 6.

`activate` is handed everything that it depends on: the prepared books, the chat, the scene, the settings, the timed
state of the chat, chance, the tokeniser and the macro expander. Equal input gives equal output, but for patterns that
run out of processor time.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from tertulia.worldbooks.admission import CountTokens, Sources
from tertulia.worldbooks.entries import Entry
from tertulia.worldbooks.keytests import Expand
from tertulia.worldbooks.matches import Match, locate
from tertulia.worldbooks.placement import Placed, Position, Prompt, place
from tertulia.worldbooks.reasons import Reason
from tertulia.worldbooks.scan import Limits, Scan
from tertulia.worldbooks.settings import Message, ScanSettings, Scene
from tertulia.worldbooks.shelf import Candidate, PlacedBook, Scope, arrange
from tertulia.worldbooks.sweeps import SweepKind
from tertulia.worldbooks.timed import Live, TimedState, begin, resume

_NO_STATE: Final = TimedState()
_LIMITS: Final = Limits()
_DEFAULTS: Final = ScanSettings()


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one entry. `book` is the book's name, `book_id` its identity.

    `tokens`, `content`, `position`, `depth`, `role` are those that count, with macros and decorators applied.
    """

    entry: Entry
    book: str
    book_id: str
    scope: Scope
    activated: bool
    reason: Reason
    key: str | None = None
    match: Match | None = None
    tokens: int = 0
    sweep: int = 0
    content: str = ""
    position: int = 0
    depth: int = 0
    role: int = 0


class Activation(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a scan: what fired, in activation order; what did not; the prompt; the state for the next turn.

    `passed_over` holds the entries that the scan had reason to look at, or all of them when it was asked to explain.
    `truncated` says that the scan was ended by its work limit.
    """

    fired: tuple[Verdict, ...]
    passed_over: tuple[Verdict, ...]
    prompt: Prompt
    timed: TimedState
    tokens_used: int
    token_budget: int
    overflow: bool
    truncated: bool


def activate(
    books: Iterable[PlacedBook],
    messages: Sequence[Message],
    scene: Scene,
    *,
    random: Callable[[], float],
    count_tokens: CountTokens,
    expand: Expand,
    settings: ScanSettings = _DEFAULTS,
    state: TimedState = _NO_STATE,
    explain: bool = False,
    dry_run: bool = False,
    limits: Limits = _LIMITS,
) -> Activation:
    """Say which entries of the books fire in a chat (oldest message first), why, and where they go.

    `random` gives numbers from 0 up to 1, drawn for groups first, then for probabilities. `explain` gives a reason
    for every entry that did not fire. A dry run reads no sticky and no cooldown, and starts none.
    """
    shelves = arrange(books, settings)
    timed = [item for shelf in shelves for _, item in shelf.index.timed]
    live = resume(_NO_STATE if dry_run else state, timed, len(messages))
    scan = Scan(shelves, messages, scene, settings, live, Sources(random, count_tokens, expand), limits)
    scan.run()
    fired = tuple(_fired(scan, candidate, messages) for candidate in scan.admission.active)
    return Activation(
        fired=fired,
        passed_over=_passed_over(scan, explain=explain),
        prompt=place([_placed(verdict) for verdict in fired], scene.an),
        timed=state if dry_run else _left_behind(live, scan, len(messages)),
        tokens_used=sum(verdict.tokens for verdict in fired),
        token_budget=settings.token_budget,
        overflow=scan.admission.overflow,
        truncated=scan.truncated,
    )


def _left_behind(live: Live, scan: Scan, length: int) -> TimedState:
    fired = [candidate.row.timed for candidate in scan.admission.active if candidate.row.timed is not None]
    return begin(live.state, fired, length)


def _passed_over(scan: Scan, *, explain: bool) -> tuple[Verdict, ...]:
    if explain:
        for shelf in scan.shelves:
            for number in range(len(shelf.index.rows)):
                shelf.candidate(number)
    rest = [candidate for shelf in scan.shelves for candidate in shelf.candidates.values() if not candidate.active]
    afresh = msgspec.structs.replace(scan.sweep, kind=SweepKind.FIRST)
    for candidate in rest:
        if candidate.reason is None and scan.judge.takes(candidate, afresh):
            candidate.blame(Reason.SCAN_ENDED)
    return tuple(_verdict(candidate) for candidate in sorted(rest, key=lambda candidate: candidate.rank))


def _verdict(candidate: Candidate) -> Verdict:
    return Verdict(
        entry=candidate.row.entry,
        book=candidate.shelf.name,
        book_id=candidate.shelf.identity,
        scope=candidate.shelf.scope,
        activated=candidate.active,
        reason=candidate.reason or Reason.KEY_MISSING,
        key=None if candidate.key is None else candidate.shelf.index.keys[candidate.key].written,
        tokens=candidate.tokens,
        sweep=candidate.sweep,
    )


def _fired(scan: Scan, candidate: Candidate, messages: Sequence[Message]) -> Verdict:
    entry, decorators = candidate.row.entry, candidate.row.decorators
    position, depth = entry.position, entry.depth
    if decorators.position is not None:
        position = decorators.position
    elif decorators.depth is not None or decorators.reverse_depth is not None:
        position = Position.AT_DEPTH
        depth = decorators.depth if decorators.depth is not None else len(messages) - (decorators.reverse_depth or 0)
    by_key = candidate.reason is Reason.KEY
    return msgspec.structs.replace(
        _verdict(candidate),
        match=locate(scan, candidate, messages) if by_key else None,
        content=candidate.body,
        position=int(position),
        depth=max(depth, 0),
        role=entry.role if decorators.role is None else decorators.role,
    )


def _placed(verdict: Verdict) -> Placed:
    entry = verdict.entry
    return Placed(verdict.content, entry.order, verdict.position, verdict.depth, verdict.role, entry.outlet_name)
