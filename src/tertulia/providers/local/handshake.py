"""What parent and child say to each other: one line of JSON each way, at the start.

Down goes a `Launch` on standard input, which then stays open: its end is the parent's end. Up comes a `Ready` or a
`Refusal` on standard output. The key goes this way because arguments and environments can be read by others.
"""

import msgspec


class Engine(msgspec.Struct, frozen=True):
    """How the engine runs.

    `slots` answers are made at once, each with a context of `context` tokens; both cost memory, about 23 kB a token
    with SmolLM2-135M. `threads` make tokens and `batch_threads` read prompts; 0 chooses by the cores there are.
    `max_tokens` caps an answer whose request does not. `cache_mib` bounds the prompts kept for a next turn.
    """

    slots: int = 2
    context: int = 4096
    threads: int = 0
    batch_threads: int = 0
    max_tokens: int = 1024
    cache_mib: int = 128


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """What a child is told: the file, the name that it answers with, the key that it asks for, whose child it is."""

    path: str
    name: str
    api_key: str
    parent: int
    demo: bool
    engine: Engine

    def __repr__(self) -> str:
        return f"Launch(name={self.name!r}, path={self.path!r})"


class Ready(msgspec.Struct, frozen=True, tag=str.lower):
    """The model is loaded, and served on this port of 127.0.0.1."""

    port: int


class Refusal(msgspec.Struct, frozen=True, tag=str.lower):
    """The child cannot serve, and says why in a sentence."""

    message: str


Report = Ready | Refusal
