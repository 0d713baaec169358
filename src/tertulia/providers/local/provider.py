"""The embedded model as a provider: waits until its child serves, then speaks OpenAI's wire to it."""

import asyncio
from collections.abc import Callable
from typing import Final, final

import structlog

from tertulia.kernel.errors import TertuliaError
from tertulia.providers.local.process import Endpoint, LocalModel
from tertulia.providers.port import Call, Failure, Listed, Provider, Sink, Target, fault
from tertulia.turn.request import Request

_log = structlog.get_logger("tertulia.providers")
_PASSED_OVER: Final = frozenset({"tools", "tool_choice", "parallel_tool_calls"})

MakeProvider = Callable[[Endpoint], Provider]


@final
class LocalProvider:
    """One embedded model under the provider's name `local`; `make` gives the provider at an endpoint."""

    def __init__(self, model: LocalModel, make: MakeProvider) -> None:
        self.name = "local"
        self._model = model
        self._make = make
        self._waiting: set[_Waiting] = set()

    def call(self, request: Request, target: Target, sink: Sink) -> Call:
        """Begin a call, which waits for the model while it loads."""
        if target.model != self._model.name:
            return _Refused(
                sink, fault("model_not_found", f"The embedded model is called {self._model.name!r}.", status=404)
            )
        waiting = _Waiting(self._model, self._make, request, target, sink, dropped=self.dropped(request, target.model))
        self._waiting.add(waiting)
        waiting.task.add_done_callback(lambda _: self._waiting.discard(waiting))
        return waiting

    def dropped(self, request: Request, model: str) -> tuple[str, ...]:
        """Name what the engine would pass over without a word."""
        return tuple(sorted(_PASSED_OVER & request.parameters.keys()))

    async def models(self) -> tuple[Listed, ...]:
        """The one that it has."""
        return (Listed(self._model.name, context_window=self._model.engine.context),)


@final
class _Refused:
    """A call that could not begin."""

    dropped: tuple[str, ...] = ()

    def __init__(self, sink: Sink, failure: Failure) -> None:
        asyncio.get_running_loop().call_soon(sink.ended, failure)

    def abort(self) -> None:
        """It is over."""

    def pause(self) -> None:
        """It says nothing."""

    def resume(self) -> None:
        """It says nothing."""


@final
class _Waiting:
    """A call that waits for its model, and is then the call to it."""

    def __init__(
        self,
        model: LocalModel,
        make: MakeProvider,
        request: Request,
        target: Target,
        sink: Sink,
        *,
        dropped: tuple[str, ...],
    ) -> None:
        self.dropped = dropped
        self._model = model
        self._make = make
        self._request = request
        self._target = target
        self._sink = sink
        self._call: Call | None = None
        self._over = False
        self.task = asyncio.get_running_loop().create_task(self._begin())

    async def _begin(self) -> None:
        try:
            endpoint = await self._model.ready()
            if not self._over:
                self._call = self._make(endpoint).call(self._request, self._target, self._sink)
        except TertuliaError as error:
            self._fail(fault(error.code, error.message, retry_after=error.retry_after, fallback=True))
        except Exception:  # noqa: BLE001 - a defect of ours; without its end, whoever follows would wait for ever
            _log.exception("local_call_failed", model=self._target.model)
            self._fail(fault("internal", "The embedded model could not be called; the log says why.", fallback=True))

    def _fail(self, failure: Failure) -> None:
        if not self._over:
            self._over = True
            self._sink.ended(failure)

    def abort(self) -> None:
        """Stop waiting, or the call."""
        if self._call is not None:
            self._call.abort()
        else:
            self._fail(fault("aborted", "The call was aborted."))

    def pause(self) -> None:
        """Stop reading."""
        if self._call is not None:
            self._call.pause()

    def resume(self) -> None:
        """Read on."""
        if self._call is not None:
            self._call.resume()
