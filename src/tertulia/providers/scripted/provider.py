"""The fake in process: obeys the port, costs no socket."""

import asyncio
from typing import final

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
        self._said = pieces_of(self._script)
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
        self._sink.events(batch)

    def _fail(self, planned: Fault) -> None:
        if planned.kind == "stall":
            return
        if planned.kind == "status":
            code = planned.code or ("rate_limited" if planned.status == 429 else "upstream_error")
            self._end(
                fault(
                    code,
                    planned.message,
                    status=planned.status,
                    retry_after=planned.retry_after,
                    fallback=planned.status not in {400, 422},
                )
            )
        elif planned.kind in {"garbage", "html", "huge_frame"}:
            self._end(fault("upstream_invalid", "The provider sent what cannot be read.", fallback=True))
        elif planned.kind == "error_event":
            self._end(fault(planned.code or "upstream_error", planned.message, fallback=True))
        else:
            self._end(fault("upstream_truncated", "The provider's answer broke off.", fallback=True))

    def _end(self, how: Finished | Failure) -> None:
        if not self._over:
            self._over = True
            self._sink.ended(how)
