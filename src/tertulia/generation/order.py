"""What a door asks for: everything that a generation needs to know, and nothing of HTTP."""

from collections.abc import Callable
from typing import Literal

import msgspec

from tertulia.conversations.opening import Opening, Waiting
from tertulia.identity.principal import Principal
from tertulia.kernel.ids import id_text
from tertulia.providers.port import Target
from tertulia.turn.request import Request

OnDisconnect = Literal["auto", "continue", "cancel"]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One reply that somebody wants.

    `targets` are the models that may answer: the first, then its fallbacks. `model` is the name to show. With
    `open_turn` the generation is durable: it is asked for the turn's rows once it is known whether the answer has to
    wait. Without it the generation lives in memory. `opening` is what it gave.
    """

    generation_id: bytes
    principal: Principal
    request: Request
    targets: tuple[Target, ...]
    model: str
    face: str
    created_at: int
    request_id: str
    open_turn: Callable[[Waiting], Opening] | None = None
    opening: Opening | None = None
    on_disconnect: OnDisconnect = "auto"
    priority: str = "normal"

    @property
    def durable(self) -> bool:
        """Whether its events reach the disk."""
        return self.open_turn is not None

    @property
    def cancels_on_disconnect(self) -> bool:
        """Whether the caller's leaving stops it: by default what nobody keeps is stopped."""
        if self.on_disconnect == "auto":
            return not self.durable
        return self.on_disconnect == "cancel"

    @property
    def id_text(self) -> str:
        """The generation's id as it stands on the wire."""
        return id_text(self.generation_id)
