"""The ports of a provider: it is pushed, not iterated (Architecture, Ports).

`Provider.call(request, target, sink)` starts a call and returns at once. The transport's read callback feeds a pure
`Decoder` and hands its events to the sink, which never awaits. Exactly one `sink.ended` closes every call, also an
aborted one. A provider never sees a user.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from tertulia.kernel.secret import Secret
from tertulia.turn.events import Delta, Fault, Finish, UsageSeen
from tertulia.turn.request import Request

Said = Delta | UsageSeen
"""What a provider can say: deltas and counts. All other events are the runner's."""


class Finished(msgspec.Struct, frozen=True):
    """The upstream ended by its own terminal marker."""

    finishes: tuple[Finish, ...]


class Failure(msgspec.Struct, frozen=True):
    """The call failed, before or after its first event.

    `status` is the upstream's HTTP status where there was one. `retry`: the same may be tried again, before the first
    token. `fallback`: another provider may be tried. `retry_after` is in seconds. `breaker`: it counts against the
    provider's health. `key`: what it says of the key that was used.
    """

    fault: Fault
    status: int | None = None
    retry: bool = False
    fallback: bool = False
    retry_after: float | None = None
    breaker: bool = False
    key: Literal["keep", "cool", "disable"] = "keep"


class Sink(Protocol):
    """Who listens to a call. Called from the read callback; never awaits, never raises."""

    def events(self, batch: Sequence[Said]) -> None:
        """Take what came, in order."""
        ...

    def ended(self, how: Finished | Failure) -> None:
        """Take the end: exactly once, and nothing after it."""
        ...


class Call(Protocol):
    """A call on its way. `dropped` names the parameters of the request that this provider does not take."""

    dropped: tuple[str, ...]

    def abort(self) -> None:
        """Close the connection at once. The sink's `ended` still comes, soon; synchronous and idempotent."""
        ...

    def pause(self) -> None:
        """Stop reading until `resume`: nobody who listens has room."""
        ...

    def resume(self) -> None:
        """Read on."""
        ...


class Target(msgspec.Struct, frozen=True):
    """Where a call goes: a provider by name, the model's name there, and the key of the caller where he brought one."""

    provider: str
    model: str
    key: Secret | None = None


class Provider(Protocol):
    """One configured provider."""

    @property
    def name(self) -> str:
        """Its name in the configuration: the part before the slash of a model's full name."""
        ...

    def call(self, request: Request, target: Target, sink: Sink) -> Call:
        """Begin a call, at once and without waiting; every failure comes through the sink."""
        ...

    def dropped(self, request: Request, model: str) -> tuple[str, ...]:
        """Name the parameters of the request that it would drop, without calling it."""
        ...

    async def models(self) -> tuple["Listed", ...]:
        """Give the models that it has.

        Raises `UpstreamFault`, or an error of this product, where it cannot be asked.
        """
        ...


class Encoded(msgspec.Struct, frozen=True):
    """A request as it goes over the wire. `dropped` names the parameters that this wire or model does not take."""

    method: str
    path: str
    body: bytes
    headers: Mapping[str, str]
    dropped: tuple[str, ...] = ()


class Decoder(Protocol):
    """The pure reader of one answer: bytes in, events out."""

    @property
    def done(self) -> bool:
        """Whether the wire's own terminal has come, so that nothing of the answer can follow."""
        ...

    def feed(self, data: bytes) -> list[Said]:
        """Read more bytes, cut anywhere.

        Raises `UpstreamFault` when the stream itself says that it failed, or cannot be read.
        """
        ...

    def close(self) -> tuple[Sequence[Said], Finished]:
        """Take the end of the body, and give what only the end could tell (a whole body, a last unended frame).

        Raises `UpstreamFault` with code `upstream_truncated` when the wire's own terminal had not come.
        """
        ...


class UpstreamFault(Exception):
    """A decoder's word that the answer failed; carries the `Failure` for the sink.

    `said` is what had come before it in the same bytes, and still goes to the sink.
    """

    def __init__(self, failure: Failure, said: Sequence[Said] = ()) -> None:
        super().__init__(failure.fault.message)
        self.failure = failure
        self.said = said


class Profile(msgspec.Struct, frozen=True):
    """What a model or host can take: the parameters that it refuses, its names for them, and its ways.

    `system_role`: the role of instructions. `names`: whether messages may carry a `name`; else it is folded into the
    text. `max_output`: the cap that is sent where the wire demands one and the request has none. `thinking`: whether
    the depth of thought is asked for in words of effort or as a budget of tokens.
    """

    refuses: frozenset[str] = frozenset()
    renames: Mapping[str, str] = msgspec.field(default_factory=lambda: {"max_completion_tokens": "max_tokens"})
    include_usage: bool = True
    system_role: Literal["system", "developer"] = "system"
    names: bool = True
    max_output: int = 4096
    thinking: Literal["effort", "budget"] = "effort"


class Listed(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model as its host lists it; sizes in tokens, where the host says them."""

    id: str
    name: str | None = None
    context_window: int | None = None
    max_output: int | None = None


class Dialect(Protocol):
    """A wire: how a request is written, and how its answer is read."""

    models_path: str
    """Where the host lists its models, under its base URL."""

    def credential(self, key: Secret) -> Mapping[str, str]:
        """Give the headers that carry a key."""
        ...

    def models(self, body: bytes) -> tuple[Listed, ...]:
        """Read the host's list of models.

        Raises `UpstreamFault` when it cannot be read.
        """
        ...

    def encode(self, request: Request, model: str, profile: Profile) -> Encoded:
        """Write the request."""
        ...

    def decoder(self, request: Request, *, streamed: bool) -> Decoder:
        """Make the reader of one answer of status 2xx: a stream, or a whole body."""
        ...

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Classify an answer that is not 2xx, whatever its body is."""
        ...


def fault(code: str, message: str, **flags: Any) -> Failure:
    """Make a failure from a code of the HTTP contract and a sentence."""
    return Failure(Fault(code, message), **flags)
