"""The last act of a generation: one transaction, decided by one guard."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from tertulia.generation import rows
from tertulia.storage.statement import Bound
from tertulia.storage.unit import Guard, Unit
from tertulia.turn.codec import encode_events
from tertulia.turn.ending import Ending
from tertulia.turn.events import Ended, Event

Contributor = Callable[[Ending], Iterable[Bound]]
"""A room's part of the last transaction; the composition binds them."""


def ended_event(ending: Ending) -> Ended:
    """Give the entry that closes the log."""
    return Ended(
        outcome=ending.outcome,
        finishes=ending.finishes,
        usage=ending.usage,
        fault=ending.fault,
        ended_at=ending.ended_at,
        provider=ending.provider if ending.started_at is not None else None,
        model=ending.provider_model if ending.started_at is not None else None,
        first_token_ms=ending.first_token_ms,
        partial=ending.partial,
    )


def ephemeral_unit(ending: Ending, contributors: Iterable[Contributor]) -> Unit:
    """Write what is kept of a generation that lived in memory only."""
    writes = tuple(bound for contribute in contributors for bound in contribute(ending))
    return Unit(key=ending.generation_id, guards=(), writes=writes, durable=True)


def durable_unit(
    ending: Ending, contributors: Iterable[Contributor], *, epoch: int, first_n: int, tail: Sequence[Event]
) -> Unit:
    """Write the end of a durable generation.

    The guard is the compare-and-set of its state: whoever loses it writes nothing. `tail` are the entries that are not
    on disk yet, the closing one included; `first_n` is the number of the first of them.
    """
    state, *rest = ending_writes(ending, contributors, epoch=epoch, first_n=first_n, tail=tail)
    guard = Guard(state, name="running")
    return Unit(key=ending.generation_id, guards=(guard,), writes=tuple(rest), durable=True)


def ending_writes(
    ending: Ending, contributors: Iterable[Contributor], *, epoch: int, first_n: int, tail: Sequence[Event]
) -> list[Bound]:
    """Give all that an end writes: the generation's own row first."""
    last_n = first_n + len(tail) - 1
    return [
        rows.end(
            ending.outcome,
            last_n,
            ending.provider,
            _json(ending.attempts),
            _json(ending.usage),
            None,
            _json(ending.cancel) if ending.cancel else None,
            ending.started_at,
            ending.first_token_at,
            ending.ended_at,
            ending.finish,
            _json(ending.fault) if ending.fault else None,
            ending.generation_id,
            epoch,
        ),
        rows.insert_events(ending.generation_id, epoch, first_n, last_n, encode_events(tail)),
        *(bound for contribute in contributors for bound in contribute(ending)),
    ]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
