"""Usage is shown alike wherever it is shown."""

import json

import msgspec
import pytest

from tertulia.faces.generations.encode import EventEncoder
from tertulia.faces.generations.usage import usage_shown
from tertulia.turn.events import UsageSeen
from tertulia.turn.usage import Usage


@pytest.mark.parametrize(
    ("usage", "shown"),
    [
        (Usage(0, 0), {"promptTokens": 0, "completionTokens": 0, "totalTokens": 0}),
        (
            Usage(7, 5, cached=3, reasoning=2, estimated=True),
            {
                "promptTokens": 7,
                "completionTokens": 5,
                "totalTokens": 12,
                "cachedTokens": 3,
                "reasoningTokens": 2,
                "estimated": True,
            },
        ),
    ],
)
def test_the_status_and_the_events_show_the_same(usage: Usage, shown: dict[str, object]) -> None:
    assert msgspec.to_builtins(usage_shown(usage)) == shown
    frame = EventEncoder("events").entry(1, UsageSeen(usage)).decode()
    assert json.loads(frame.partition("data: ")[2]) == shown
