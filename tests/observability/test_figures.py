"""What is counted of generations, and by which labels."""

from typing import Any

import pytest

from tertulia.app.figures import EndingReport, watch_queues
from tertulia.generation.queue import Queue, QueueSettings
from tertulia.observability.metrics import REGISTRY, exposition
from tertulia.turn.ending import Ending
from tertulia.turn.usage import Usage


def ending(provider: str, model: str, outcome: Any = "completed") -> Ending:
    return Ending(
        generation_id=b"g" * 16, user_id=b"u" * 16, key_id=None, conversation_id=None, message_ids=(), face="openai",
        model=model, provider=provider, provider_model=model, outcome=outcome, choices=(), finishes=(),
        usage=Usage(1, 1), created_at=0, ended_at=1,
    )  # fmt: skip


def counted(provider: str, model: str, outcome: str) -> float:
    labels = {"provider": provider, "model": model, "outcome": outcome}
    return REGISTRY.get_sample_value("tertulia_generations_total", labels) or 0


def test_a_model_that_nobody_has_is_counted_as_other() -> None:
    report = EndingReport({"figures-a/real"}.__contains__)
    for n in range(50):
        report(ending("figures-a", f"invented-{n}", "failed"))
    report(ending("figures-a", "real", "failed"))
    assert counted("figures-a", "other", "failed") == 50
    assert counted("figures-a", "real", "failed") == 1
    assert b"invented-" not in exposition()


def test_a_model_that_has_answered_has_its_own_label_from_then_on() -> None:
    report = EndingReport(lambda _: False)
    for outcome in ("failed", "completed", "failed"):
        report(ending("figures-b", "found", outcome))
    assert counted("figures-b", "other", "failed") == 1
    assert (counted("figures-b", "found", "completed"), counted("figures-b", "found", "failed")) == (1, 1)


def test_labels_are_bounded_where_a_provider_answers_to_any_name() -> None:
    report = EndingReport({"figures-c/real"}.__contains__)
    for n in range(1000):
        report(ending("figures-c", f"any-{n}"))
    report(ending("figures-c", "real"))
    assert counted("figures-c", "other", "completed") == 800
    assert counted("figures-c", "real", "completed") == 1


async def test_the_gauge_shows_what_waits_now(request: pytest.FixtureRequest) -> None:
    queues = [Queue(QueueSettings(), 1), Queue(QueueSettings(), 1)]
    watch_queues(queues)
    request.addfinalizer(lambda: watch_queues(()))
    places = [queue.enter(b"u" * 16) for queue in queues for _ in range(3)]
    assert b'tertulia_queue_waiting{level="normal"} 4.0' in exposition()
    for place in reversed(places):
        place.leave()
    assert b'tertulia_queue_waiting{level="normal"} 0.0' in exposition()
