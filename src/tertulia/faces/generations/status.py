"""A generation as it is now, in JSON."""

from collections.abc import Sequence
from typing import Any

import msgspec

from tertulia.faces.generations.usage import UsageShown, usage_shown
from tertulia.generation.access import Stored
from tertulia.generation.log import Log
from tertulia.generation.runner import Run
from tertulia.kernel.clock import rfc3339
from tertulia.turn.events import Fault, Started
from tertulia.turn.fold import Fold, fold


class Timings(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """When what happened."""

    created_at: str
    started_at: str | None = None
    first_token_at: str | None = None
    ended_at: str | None = None


class Charged(msgspec.Struct, frozen=True):
    """Credits held and charged, decimal strings."""

    held: str = "0"
    charged: str = "0"


class Status(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The answer of `GET /api/generations/{id}` (HTTP contract, Generations)."""

    id: str
    state: str
    model: str
    text: str
    last_event_id: str
    timings: Timings
    attempts: list[dict[str, Any]]
    credits: Charged
    queue_position: int | None = None
    estimated_wait_ms: int | None = None
    conversation_id: str | None = None
    message_id: str | None = None
    user_message_id: str | None = None
    provider: str | None = None
    reasoning: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    images: list[str] | None = None
    finish_reason: str | None = None
    error: Fault | None = None
    usage: UsageShown | None = None


def status_of_run(run: Run) -> Status:
    """Show one that is in memory."""
    place = run.place
    position = place.position if place else None
    timings = Timings(
        rfc3339(run.order.created_at),
        _time(run.started_at),
        _time(run.first_token_at),
        _time(run.ending.ended_at if run.ending and run.log.ended else None),
    )
    return _status(
        run.log,
        run.fold(),
        state=run.state,
        model=run.order.model,
        provider=run.target.provider if run.started_at else None,
        attempts=_attempts(run.attempts),
        timings=timings,
        queue_position=position,
        estimated_wait_ms=place.estimate_ms(position) if place and position else None,
    )


def status_of_stored(found: Stored, log: Log) -> Status:
    """Show one that is in the database."""
    timings = Timings(
        rfc3339(found.created_at), _time(found.started_at), _time(found.first_token_at), _time(found.ended_at)
    )
    return _status(
        log,
        fold(log.entries),
        state=found.state,
        model=found.model,
        provider=found.provider,
        attempts=_attempts(found.attempts),
        timings=timings,
    )


def _status(log: Log, folded: Fold, *, state: str, **fields: Any) -> Status:
    started, ended, choice = folded.started, folded.ended, folded.choice()
    assert isinstance(started, Started)  # a log begins with it  # noqa: S101
    return Status(
        id=started.generation_id,
        state=state,
        text=choice.text,
        last_event_id=str(log.last_number),
        credits=Charged(),
        conversation_id=started.conversation_id,
        message_id=started.message_id,
        user_message_id=started.user_message_id,
        reasoning=choice.reasoning or None,
        tool_calls=[call.to_wire() for call in choice.tool_calls] or None,
        images=list(choice.images) or None,
        finish_reason=ended.finish_reason if ended else None,
        error=ended.fault if ended else None,
        usage=usage_shown(ended.usage) if ended and ended.usage else None,
        **fields,
    )


def _attempts(attempts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [attempt | {"startedAt": rfc3339(attempt["startedAt"])} for attempt in attempts]


def _time(micros: int | None) -> str | None:
    return rfc3339(micros) if micros is not None else None
