"""Answers of the four wires, in the shapes that their hosts send, and a way to have them read."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tertulia.providers.dialects.anthropic.dialect import Anthropic
from tertulia.providers.dialects.gemini.dialect import Gemini
from tertulia.providers.dialects.ollama.dialect import Ollama
from tertulia.providers.dialects.openai.dialect import OpenAI
from tertulia.providers.port import Dialect, Failure, Finished, Said, UpstreamFault
from tertulia.turn.content import Message
from tertulia.turn.events import Event
from tertulia.turn.fold import Choice, Fold, fold
from tertulia.turn.request import Request

DATA = Path(__file__).parent / "data"
DIALECTS: dict[str, Dialect] = {
    "anthropic": Anthropic(),
    "gemini": Gemini(),
    "ollama": Ollama(),
    "openai": OpenAI(),
}


class Read(NamedTuple):
    """What reading an answer came to."""

    events: list[Said]
    how: Finished | Failure

    @property
    def folded(self) -> Fold:
        return fold(_as_events(self.events))

    @property
    def choice(self) -> Choice:
        return self.folded.choice()

    @property
    def code(self) -> str | None:
        return self.how.fault.code if isinstance(self.how, Failure) else None


def _as_events(said: Sequence[Said]) -> list[Event]:
    return list(said)


def _wire_of(name: str) -> str:
    first = name.partition("_")[0]
    return first if first in DIALECTS else "openai"


@pytest.fixture(scope="session")
def transcript() -> Callable[[str], bytes]:
    """Give a recorded answer by the name of its file."""
    return lambda name: (DATA / name).read_bytes()


@pytest.fixture(scope="session")
def read() -> Callable[..., Read]:
    """Read an answer, in the pieces given, as its sink would see it."""

    def reading(wire: str, pieces: bytes | Sequence[bytes], *, streamed: bool = True) -> Read:
        request = Request((Message("user", "hi"),), {}, stream=streamed)
        decoder = DIALECTS[wire].decoder(request, streamed=streamed)
        events: list[Said] = []
        try:
            for piece in [pieces] if isinstance(pieces, bytes) else pieces:
                events += decoder.feed(piece)
            last, how = decoder.close()
        except UpstreamFault as fault:
            return Read([*events, *fault.said], fault.failure)
        return Read([*events, *last], how)

    return reading


@pytest.fixture(scope="session")
def recorded(read: Callable[..., Read]) -> Callable[[str], Read]:
    """Read a recorded answer by the name of its file."""
    return lambda name: read(_wire_of(name), (DATA / name).read_bytes(), streamed=not name.endswith(".json"))
