"""What is counted, and what is logged, of requests and generations."""

from functools import cache

import structlog

from tertulia.asgi.exchange import Exchange
from tertulia.asgi.route import Route
from tertulia.observability import metrics
from tertulia.turn.ending import Ending

_access = structlog.get_logger("tertulia.access")
_generations = structlog.get_logger("tertulia.generation")


def report_commit(_: int, seconds: float, durable: bool) -> None:  # noqa: FBT001 - the storage port's shape
    """Count a batch's commit."""
    _commit_seconds(durable).observe(seconds)


def report_ending(ending: Ending) -> None:
    """Count and log the end of a generation, without a word of it."""
    _ended(ending.provider, ending.provider_model, ending.outcome).inc()
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


@cache
def _commit_seconds(durable: bool) -> metrics.Histogram:  # noqa: FBT001
    return metrics.COMMIT_SECONDS.labels("full" if durable else "relaxed")


@cache
def _ended(provider: str, model: str, outcome: str) -> metrics.Counter:
    return metrics.GENERATIONS.labels(provider, model, outcome)


@cache
def _tokens(kind: str) -> metrics.Counter:
    return metrics.TOKENS.labels(kind)


@cache
def _requests(face: str, route: str, status: int) -> metrics.Counter:
    return metrics.REQUESTS.labels(face, route, str(status))


@cache
def _request_seconds(face: str, route: str) -> metrics.Histogram:
    return metrics.REQUEST_SECONDS.labels(face, route)
