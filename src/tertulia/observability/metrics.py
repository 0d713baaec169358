"""The figures of `/metrics`, by the names of the operation page.

Children are looked up once and kept by those who count, so that counting costs no look-up on the hot path.
"""

from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from tertulia.kernel.secret import Secret


class MetricsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[metrics]`: whether there are any, and the token that lets others than loopback peers read them."""

    enabled: bool = True
    token: Secret | None = None


REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)

REQUESTS: Final = Counter("tertulia_requests", "Requests answered.", ("face", "route", "status"), registry=REGISTRY)
REQUEST_SECONDS: Final = Histogram(
    "tertulia_request_seconds", "From a request's head to its answer's end.", ("face", "route"),
    buckets=_SECONDS, registry=REGISTRY,
)  # fmt: skip
GENERATIONS: Final = Counter(
    "tertulia_generations", "Generations ended.", ("provider", "model", "outcome"), registry=REGISTRY
)
FIRST_TOKEN_SECONDS: Final = Histogram(
    "tertulia_first_token_seconds", "From a call's begin to its first token.", buckets=_SECONDS, registry=REGISTRY
)
GENERATION_SECONDS: Final = Histogram(
    "tertulia_generation_seconds", "From a generation's begin to its end.", buckets=_SECONDS, registry=REGISTRY
)
TOKENS: Final = Counter("tertulia_tokens", "Tokens used.", ("kind",), registry=REGISTRY)
COMMIT_SECONDS: Final = Histogram(
    "tertulia_commit_seconds", "From BEGIN to the end of COMMIT, for each batch.", ("durable",),
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5), registry=REGISTRY,
)  # fmt: skip
QUEUE_WAITING: Final = Gauge(
    "tertulia_queue_waiting", "Generations that wait for a place.", ("level",), registry=REGISTRY
)
FOLLOWERS: Final = Gauge("tertulia_followers", "Connections that follow an answer.", registry=REGISTRY)
LOG_DROPPED: Final = Counter("tertulia_log_dropped", "Log lines that found no room.", registry=REGISTRY)


def exposition() -> bytes:
    """Write all figures in Prometheus' text form."""
    return generate_latest(REGISTRY)
