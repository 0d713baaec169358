"""What is counted, and what is logged, of requests and generations."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, final

import structlog

from tertulia.asgi.exchange import Exchange
from tertulia.asgi.route import Route
from tertulia.generation.queue import Queue
from tertulia.observability import metrics
from tertulia.turn.ending import Ending

_access = structlog.get_logger("tertulia.access")
_generations = structlog.get_logger("tertulia.generation")
_MOST_KEPT: Final = 4096
_MOST_MODELS: Final = 200
_OTHER: Final = "other"

Configured = Callable[[str], bool]
"""Whether the configuration names a model (`provider/model`)."""


def report_commit(_: int, seconds: float, durable: bool) -> None:  # noqa: FBT001 - the storage port's shape
    """Count a batch's commit."""
    _commit_seconds(durable).observe(seconds)


def watch_queues(queues: Iterable[Queue]) -> None:
    """Let the gauge of waiting requests ask the queues themselves, whenever the figures are read."""
    asked = tuple(queues)
    metrics.QUEUE_WAITING.labels("normal").set_function(lambda: sum(queue.waiting for queue in asked))


@final
class EndingReport:
    """Counts and logs the end of each generation, without a word of it."""

    def __init__(self, configured: Configured) -> None:
        self._configured = configured
        self._answered: set[str] = set()

    def __call__(self, ending: Ending) -> None:
        """Take note of an ending."""
        _ended(ending.provider, self._model(ending), ending.outcome).inc()
        first = ending.first_token_ms
        if first is not None:
            metrics.FIRST_TOKEN_SECONDS.observe(first / 1000)
        metrics.GENERATION_SECONDS.observe((ending.ended_at - ending.created_at) / 1_000_000)
        _tokens("prompt").inc(ending.usage.prompt)
        _tokens("completion").inc(ending.usage.completion)
        if ending.outcome == "failed":
            _generations.warning(
                "generation_failed",
                generation_id=ending.generation_id.hex(),
                provider=ending.provider,
                model=ending.provider_model,
                code=ending.fault.code if ending.fault else None,
            )

    def _model(self, ending: Ending) -> str:
        """Give a model its own label where it is real: callers choose names, and each label costs memory for ever.

        Real is what the configuration names, and what has answered; of the latter only so many.
        """
        full = f"{ending.provider}/{ending.provider_model}"
        if full not in self._answered and not self._configured(full):
            if ending.outcome != "completed" or len(self._answered) >= _MOST_MODELS:
                return _OTHER
            self._answered.add(full)
        return ending.provider_model


def make_observer(*, access: bool) -> "Observer":
    """Make what is called once for every request."""
    return Observer(access=access)


class Observer:
    """Counts every request, and logs it where access is logged."""

    def __init__(self, *, access: bool) -> None:
        self._access = access

    def __call__(self, exchange: Exchange, route: Route | None, status: int, seconds: float) -> None:
        """Take note of an exchange that is over."""
        face, path = (route.tags[0] if route.tags else "", route.path) if route else ("", "unknown")
        _requests(face, path, status).inc()
        _request_seconds(face, path).observe(seconds)
        if self._access:
            caller = exchange.caller
            _access.info(
                "request",
                method=exchange.method,
                path=exchange.path,
                status=status,
                ms=round(seconds * 1000, 2),
                request_id=exchange.request_id,
                user=caller.name if caller else None,
                client=exchange.client,
            )


@lru_cache(_MOST_KEPT)
def _commit_seconds(durable: bool) -> metrics.Histogram:  # noqa: FBT001
    return metrics.COMMIT_SECONDS.labels("full" if durable else "relaxed")


@lru_cache(_MOST_KEPT)
def _ended(provider: str, model: str, outcome: str) -> metrics.Counter:
    return metrics.GENERATIONS.labels(provider, model, outcome)


@lru_cache(_MOST_KEPT)
def _tokens(kind: str) -> metrics.Counter:
    return metrics.TOKENS.labels(kind)


@lru_cache(_MOST_KEPT)
def _requests(face: str, route: str, status: int) -> metrics.Counter:
    return metrics.REQUESTS.labels(face, route, str(status))


@lru_cache(_MOST_KEPT)
def _request_seconds(face: str, route: str) -> metrics.Histogram:
    return metrics.REQUEST_SECONDS.labels(face, route)
