"""The fake in process: obeys the port, costs no socket."""

import asyncio
from typing import final

import msgspec

from tertulia.net.transport import Broken
from tertulia.providers.failures import failure_in_stream, failure_of, failure_of_transport, truncated, unreadable
from tertulia.providers.port import Call, Failure, Finished, Listed, Sink, Target, fault
from tertulia.providers.scripted.script import (
    MODELS,
    Fault,
    Piece,
    Script,
    finish_of,
    pieces_of,
    script_of,
    usage_of,
)
from tertulia.providers.scripted.writing import error_body
from tertulia.turn.request import Request


@final
class ScriptedProvider:
    """Answers by script."""

    def __init__(self, name: str) -> None:
        self.name = name

    def call(self, request: Request, target: Target, sink: Sink) -> Call:
        """Begin to speak on the next turn of the loop."""
        speech = _Speech(request, target, sink)
        speech.begin()
        return speech

    def dropped(self, request: Request, model: str) -> tuple[str, ...]:
        """Nothing is dropped."""
        return ()

    async def models(self) -> tuple[Listed, ...]:
        """The models that a name alone decides about."""
        return tuple(Listed(model) for model in MODELS)


@final
class _Speech:
    """One answer on its way: a timer for each piece, or one turn of the loop for all where there is no pace."""

    def __init__(self, request: Request, target: Target, sink: Sink) -> None:
        self._request = request
        self._model = target.model
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self.dropped: tuple[str, ...] = ()
        self._over = False
        self._paused = False
        self._said: list[Piece] = []
        self._next = 0
        self._script = Script()

    def begin(self) -> None:
        """Read the script, and set the first timer."""
        try:
            self._script = script_of(self._request, self._model)
        except ValueError as error:
            why = str(error)
            self._timer = self._loop.call_soon(lambda: self._end(fault("invalid", why, status=400)))
            return
        self._said = pieces_of(self._script, self._request)
        self._timer = self._loop.call_later(self._script.delay_ms / 1000, self._speak)

    def abort(self) -> None:
        """Fall silent."""
        if not self._over:
            if self._timer is not None:
                self._timer.cancel()
            self._end(fault("aborted", "The call was aborted."))

    def pause(self) -> None:
        """Wait before the next piece."""
        self._paused = True

    def resume(self) -> None:
        """Go on."""
        if self._paused:
            self._paused = False
            if not self._over and self._timer is None:
                self._timer = self._loop.call_soon(self._speak)

    def _speak(self) -> None:
        self._timer = None
        planned = self._script.fault
        if planned is not None and self._next >= planned.after:
            self._fail(planned)
            return
        if self._paused:
            return
        if self._next < len(self._said):
            self._say(planned)
            self._timer = self._loop.call_later(self._script.pace_ms / 1000, self._speak)
            return
        used = usage_of(self._script, self._request, self._said)
        if used is not None:
            self._sink.events((used,))
        self._end(Finished(finish_of(self._script, self._request.choices)))

    def _say(self, planned: Fault | None) -> None:
        last = self._next + 1 if self._script.pace_ms else len(self._said)
        if planned is not None:
            last = min(last, planned.after)
        batch = self._said[self._next : last]
        self._next = last
        others = range(1, self._request.choices)
        self._sink.events(
            [*batch, *(msgspec.structs.replace(piece, choice=choice) for choice in others for piece in batch)]
        )

    def _fail(self, planned: Fault) -> None:
        if planned.kind != "stall":
            self._end(_failure(planned, answering=self._next > 0))

    def _end(self, how: Finished | Failure) -> None:
        if not self._over:
            self._over = True
            self._sink.ended(how)


def _failure(planned: Fault, *, answering: bool) -> Failure:
    """Give what the same fault comes to over HTTP."""
    if planned.kind == "status" and not answering:
        wait = {} if planned.retry_after is None else {"retry-after": f"{planned.retry_after:g}"}
        return failure_of(planned.status, wait, error_body(planned.message, planned.code))
    if planned.kind == "html" and not answering:
        return failure_of(502, {}, b"<html>")
    if planned.kind in {"status", "html", "error_event"}:
        return failure_in_stream({"message": planned.message, "code": planned.code or "server_error"})
    if planned.kind in {"garbage", "huge_frame"}:
        return unreadable("the script says so.")
    if planned.kind == "reset":
        return failure_of_transport(Broken("The connection was reset."), answering=answering)
    return truncated()
