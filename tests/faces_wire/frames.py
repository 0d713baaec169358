"""Streams as clients receive them: cut anywhere, read by the official SDKs over a transport that never leaves here."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx2
import openai

from tertulia.generation.encoder import Encoder
from tertulia.turn.events import Event
from tests.faces_wire.logs import numbered


class Wire:
    """A transport that answers every request with the bytes that were last laid on it, cut at random."""

    def __init__(self) -> None:
        self.body = b""
        self.content_type = "text/event-stream"
        self.seed = 0
        http = httpx2.Client(transport=httpx2.MockTransport(self._answer))
        self.openai = openai.OpenAI(api_key="k", base_url="http://here/v1", http_client=http, max_retries=0)
        self.anthropic = anthropic.Anthropic(api_key="k", base_url="http://here", http_client=http, max_retries=0)

    def lay(self, body: bytes, content_type: str = "text/event-stream") -> None:
        self.body, self.content_type = body, content_type
        self.seed += 1

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        del request
        return httpx2.Response(200, headers={"content-type": self.content_type}, content=self._pieces())

    def _pieces(self) -> Iterator[bytes]:
        chance, rest = random.Random(self.seed), self.body
        while rest:
            size = chance.choice((1, 2, 7, 40, 400))
            yield rest[:size]
            rest = rest[size:]


def stream_of(encoder: Encoder, log: list[Event], *, heartbeats: bool = False) -> bytes:
    """Encode a whole log, with a heartbeat after each entry where that is asked for."""
    beat = encoder.heartbeat if heartbeats else b""
    return b"".join(encoder.entry(n, event) + beat for n, event in numbered(log)) + encoder.done


def require_ids(make: Callable[[], Encoder], log: list[Event]) -> None:
    """Check that each entry with frames has one id, on its last frame, and that the bytes are the same each time."""
    one, two = make(), make()
    for n, event in numbered(log):
        data = one.entry(n, event)
        assert data == two.entry(n, event)
        frames = [frame for frame in data.split(b"\n\n") if frame and not frame.startswith(b":")]
        with_id = [index for index, frame in enumerate(frames) if frame.startswith(b"id: ")]
        assert with_id == ([len(frames) - 1] if frames else [])
        assert not frames or frames[-1].startswith(b"id: %d\n" % n)
        assert data == b"" or data.endswith(b"\n\n") or data.startswith(b":")


def read_frames(data: bytes) -> list[tuple[str | None, str, str]]:
    """Read frames by hand: (id, event, data)."""
    found: list[tuple[str | None, str, str]] = []
    for block in data.decode().split("\n\n"):
        fields: dict[str, Any] = {}
        for line in block.split("\n"):
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value
        if fields:
            found.append((fields.get("id"), fields.get("event", ""), fields.get("data", "")))
    return found
