"""Official clients, each with a user's key."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.running import RunningServer

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a place.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}
CLOCK: Any = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def said(text: str) -> Any:
    """One message of a user's."""
    return [{"role": "user", "content": text}]


@pytest.fixture
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    """OpenAI's own client, with its own way of retrying."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key(), timeout=20) as made:
        yield made
