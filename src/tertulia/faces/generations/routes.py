"""The generations face: look at a reply, follow it, stop it, whatever door it came through."""

from typing import Annotated

import msgspec

from tertulia.asgi.body import JsonBody
from tertulia.asgi.exchange import Answer, Exchange, json_answer
from tertulia.asgi.route import Parameter, Route
from tertulia.faces.generations.encode import EventEncoder
from tertulia.faces.generations.status import Status, status_of_run, status_of_stored
from tertulia.generation.encoding import Encodings
from tertulia.generation.follow import Follower
from tertulia.generation.kept import KeptRun
from tertulia.generation.log import parse_event_id
from tertulia.generation.runner import Run
from tertulia.generation.start import Generations
from tertulia.kernel.ids import path_id


class CancelBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why it is stopped; may be left out."""

    reason: Annotated[str, msgspec.Meta(max_length=500)] | None = None


def routes(*, generations: Generations, heartbeat_s: float) -> tuple[Route, ...]:
    """Make the routes of this face."""
    read_cancel = JsonBody(CancelBody)

    async def show(exchange: Exchange) -> Answer:
        return json_answer(await _status(exchange))

    async def events(exchange: Exchange) -> Answer | None:
        found = await generations.find(exchange.principal, path_id(exchange.params["id"]))
        log = await generations.log_of(found)
        encodings = found.encodings if isinstance(found, Run) else Encodings(log, heartbeat_s)
        header = exchange.header(b"last-event-id")
        text = header.decode("latin-1") if header is not None else exchange.query.get("after", "")
        after = parse_event_id(text) if text else 0
        log.place_after(after)  # refuses before the stream is opened
        push = exchange.stream(200)
        Follower(
            log,
            encodings,
            push=push,
            variant="events",
            make=lambda: EventEncoder("events"),
            after=after,
            # What is running neither here nor ended has no writer that we could follow.
            live=isinstance(found, Run) and exchange.query.get("follow", "true").lower() != "false",
        )
        return None

    async def cancel(exchange: Exchange) -> Answer:
        found = await generations.find(exchange.principal, path_id(exchange.params["id"]))
        body = await exchange.body()
        reason = read_cancel.decode(body).reason if body.strip() else None
        generations.cancel(exchange.principal, found, reason)
        if isinstance(found, Run):
            await found.over
        return json_answer(await _status(exchange))

    async def _status(exchange: Exchange) -> Status:
        generation_id = path_id(exchange.params["id"])
        found = await generations.find(exchange.principal, generation_id)
        if isinstance(found, Run):
            return status_of_run(found)
        row = found.row if isinstance(found, KeptRun) else found
        return status_of_stored(row, await generations.log_of(found))

    tags = ("Generations",)
    return (
        Route(
            method="GET",
            path="/api/generations/{id}",
            handler=show,
            access="user",
            scope="read",
            meter="none",
            answer=Status,
            summary="Look at a reply",
            tags=tags,
            errors=("generation_expired",),
        ),
        Route(
            method="GET",
            path="/api/generations/{id}/events",
            handler=events,
            access="user",
            scope="read",
            meter="none",
            answer_type="text/event-stream",
            summary="Follow a reply from its start, or from an event on",
            tags=tags,
            parameters=(
                Parameter("after", summary="The last event id that you have"),
                Parameter("follow", summary="`false` ends after what is there"),
                Parameter("Last-Event-ID", where="header", summary="Wins over `after`"),
            ),
            errors=("invalid_event_id", "generation_expired"),
        ),
        Route(
            method="POST",
            path="/api/generations/{id}/cancel",
            handler=cancel,
            access="user",
            scope="chat",
            meter="none",
            body=CancelBody,
            answer=Status,
            summary="Stop a reply; what has come is kept",
            tags=tags,
        ),
    )
