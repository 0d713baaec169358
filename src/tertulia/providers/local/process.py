"""`LocalModel`: keeps one child serving the embedded model, and says where it is to be reached.

The server does not wait for it. Whoever has a request for the model awaits `ready()`: it returns at once while the
child serves, waits while it loads, and fails with `provider_unavailable` after 60 s or when the model cannot be loaded
(Operation, "the embedded model").
"""

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec

from tertulia.kernel.errors import Kind, TertuliaError
from tertulia.kernel.secret import Secret
from tertulia.providers.local.gguf import Gguf
from tertulia.providers.local.handshake import Engine, Launch
from tertulia.providers.local.spawn import Child, ChildEnded

READY_TIMEOUT_S: Final = 60.0

State = Literal["absent", "loading", "ready", "restarting", "failed"]


class ModelUnavailable(TertuliaError):
    """The embedded model cannot answer now: it loads, it is gone for good, or it is closed."""

    kind = Kind.UNAVAILABLE
    code = "provider_unavailable"


class Endpoint(msgspec.Struct, frozen=True):
    """Where the model is served, as an OpenAI-compatible API; good until the child dies, so ask anew each time."""

    base_url: str
    api_key: Secret

    def headers(self) -> dict[str, str]:
        """Give the headers that each request needs; why `Connection: close`, the package's docstring says."""
        return {"Authorization": f"Bearer {self.api_key.reveal()}", "Connection": "close"}


class Health(msgspec.Struct, frozen=True):
    """How the model is; `error` says how the last child ended, `restarts` how often one had to be replaced.

    `absent`: no child was asked for yet, or it was closed. `failed`: it could not be loaded several times in a row.
    """

    state: State
    restarts: int = 0
    error: str | None = None
    pid: int | None = None


class Patience(msgspec.Struct, frozen=True):
    """How long children are waited for and how they are replaced; all in seconds but `attempts`.

    The first death is answered at once, the next ones after `backoff` doubled each time, up to `longest`; a child that
    lived for `steady` begins the count anew. After `attempts` children in a row that never got ready it is `failed`,
    and tried again for whoever asks after `rest`.
    """

    load: float = 300.0
    backoff: float = 0.5
    longest: float = 10.0
    steady: float = 60.0
    attempts: int = 4
    rest: float = 30.0


class LocalModel:
    """One model and the child that serves it. Belongs to one event loop; `close` it before the loop ends."""

    def __init__(
        self,
        gguf: Gguf,
        *,
        engine: Engine | None = None,
        patience: Patience | None = None,
        on_change: Callable[[Health], None] | None = None,
    ) -> None:
        """Take a model without starting anything; `on_change` hears of every change of the health."""
        self.gguf = gguf
        self.engine = _fitted(engine or Engine(), gguf)
        self._patience = patience or Patience()
        self._on_change = on_change
        self._key = Secret(secrets.token_urlsafe(32))
        self._health = Health("absent")
        self._endpoint: Endpoint | None = None
        self._child: Child | None = None
        self._watch: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()  # set while there is an endpoint, or no hope
        self._closing = asyncio.Event()
        self._failed_at = 0.0

    @property
    def name(self) -> str:
        """The model's name: `local/<name>` is its full one."""
        return self.gguf.name

    @property
    def health(self) -> Health:
        """How the model is now."""
        return self._health

    @property
    def endpoint(self) -> Endpoint | None:
        """Where it is served, if it is served now: `ready` without the wait."""
        return self._endpoint

    def start(self) -> None:
        """Begin to load, in the background, where that has not begun; also again after a failure and its rest."""
        if self._closing.is_set() or (self._watch is not None and not self._watch.done()):
            return
        if self._health.state == "failed" and self._rest_left() > 0:
            return
        self._settled.clear()
        self._change(state="loading")
        self._watch = asyncio.create_task(self._keep_alive(), name="embedded model")

    async def ready(self, timeout_s: float = READY_TIMEOUT_S) -> Endpoint:
        """Give the endpoint, as soon as there is one; begins to load where that has not begun.

        Raises `ModelUnavailable` when it is not ready within `timeout_s`, could not be loaded, or is closed.
        """
        self.start()
        try:
            async with asyncio.timeout(timeout_s):
                while self._endpoint is None:
                    self._require_hope()
                    await self._settled.wait()
        except TimeoutError:
            raise ModelUnavailable(
                f"The embedded model is still loading after {timeout_s:.0f} s. Try again soon.", retry_after=5
            ) from None
        return self._endpoint

    async def close(self) -> None:
        """End the child for sure and start no other; whoever waits for it is told. Idempotent."""
        self._closing.set()
        if self._child is not None:
            await self._child.end()
        if self._watch is not None:
            await self._watch
        self._endpoint = None
        self._change(state="absent", pid=None)
        self._settled.set()

    def _require_hope(self) -> None:
        if self._closing.is_set():
            raise ModelUnavailable("The embedded model is shut down.")
        if self._health.state == "failed":
            raise ModelUnavailable(
                f"The embedded model cannot be started: {self._health.error}.", retry_after=max(1.0, self._rest_left())
            )

    def _rest_left(self) -> float:
        return self._failed_at + self._patience.rest - time.monotonic()

    async def _keep_alive(self) -> None:
        """Run child after child until closed, or until several in a row could not load the model."""
        deaths = fruitless = 0
        while not self._closing.is_set():
            began = time.monotonic()
            served, how = await self._live()
            self._endpoint = None
            if self._closing.is_set():
                return
            fruitless = 0 if served else fruitless + 1
            if fruitless >= self._patience.attempts:
                self._give_up(how)
                return
            deaths = 1 if time.monotonic() - began >= self._patience.steady else deaths + 1
            self._settled.clear()
            self._change(state="restarting", restarts=self._health.restarts + 1, error=how, pid=None)
            await self._pause(deaths)

    async def _live(self) -> tuple[bool, str]:
        """Run one child from start to end; tells whether it served, and how it ended."""
        try:
            child = self._child = await Child.spawn(self._launch())
        except OSError as error:  # no memory, no processes left
            return False, f"its process could not be started: {error.strerror or error}"
        try:
            return await self._serve_with(child)
        finally:
            await child.end()
            self._child = None

    async def _serve_with(self, child: Child) -> tuple[bool, str]:
        if self._closing.is_set():
            return False, "it was closed"
        try:
            port = await child.port(self._patience.load)
        except ChildEnded as error:
            return False, str(error)
        self._endpoint = Endpoint(f"http://127.0.0.1:{port}/v1", self._key)
        self._change(state="ready", pid=child.pid)
        self._settled.set()
        how = await child.ended()
        return True, child.assertion() or how

    def _launch(self) -> Launch:
        return Launch(
            path=str(self.gguf.path.absolute()),
            name=self.gguf.name,
            api_key=self._key.reveal(),
            parent=os.getpid(),
            demo=self.gguf.demo,
            engine=self.engine,
        )

    def _give_up(self, how: str) -> None:
        self._failed_at = time.monotonic()
        self._change(state="failed", error=how, pid=None)
        self._settled.set()

    async def _pause(self, deaths: int) -> None:
        """Wait before the next child, or until closed."""
        if deaths == 1:
            return
        delay = min(self._patience.longest, self._patience.backoff * 2 ** (deaths - 2))
        try:
            async with asyncio.timeout(delay):
                await self._closing.wait()
        except TimeoutError:
            return

    def _change(self, **fields: Any) -> None:
        self._health = msgspec.structs.replace(self._health, **fields)
        if self._on_change is not None:
            self._on_change(self._health)


def _fitted(engine: Engine, gguf: Gguf) -> Engine:
    """Give no more context than the model was made for."""
    context = min(engine.context, gguf.context or engine.context)
    return msgspec.structs.replace(engine, context=context)
