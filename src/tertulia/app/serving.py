"""The life of a server: lock the home, bring the database up, end what a dead process left, serve, drain, close."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

import structlog

from tertulia.app.compose import App, compose, make_transport
from tertulia.app.configuration import Loaded
from tertulia.app.database import opened_storage
from tertulia.app.figures import make_observer
from tertulia.asgi.door import Door
from tertulia.asgi.server import Server, bind, serve
from tertulia.generation.recovery import end_orphans
from tertulia.identity.users import ensure_admin
from tertulia.observability.freeze import freeze_memory
from tertulia.storage.home import HomeLock, make_home
from tertulia.storage.writer import Storage

_log = structlog.get_logger("tertulia")
_HEADROOM_S = 2.0


async def serve_home(loaded: Loaded, on_started: Callable[[str], None]) -> None:
    """Serve until told to stop.

    Raises typed errors of one line for all that can be wrong before the first request: the port, the home, the
    database, the settings.
    """
    settings = loaded.settings
    sockets = bind(settings.server.host, settings.server.port)
    async with AsyncExitStack() as life:
        for bound in sockets:
            life.callback(bound.close)
        make_home(loaded.home)
        life.enter_context(HomeLock(loaded.home))
        storage = await life.enter_async_context(opened_storage(loaded))
        transport = make_transport()
        life.push_async_callback(transport.close)
        app = compose(loaded, storage=storage, transport=transport, admin=await ensure_admin(storage))
        await _recover(storage, app)
        life.push_async_callback(_close, app)
        _begin(app)
        door = Door(
            app.routes,
            authenticator=app.credentials,
            server=settings.server,
            requests=settings.requests,
            observe=make_observer(access=settings.logging.access),
            log=structlog.get_logger("tertulia.asgi"),
        )
        tasks: set[asyncio.Task[None]] = set()

        def watch(server: Server) -> None:
            task = asyncio.get_running_loop().create_task(_drain(server, app, settings.server.graceful_s))
            tasks.add(task)

        freeze_memory()
        await serve(door, settings.server, settings.requests, sockets=sockets, on_started=on_started, on_server=watch)
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _recover(storage: Storage, app: App) -> None:
    """End what the last process left running: we hold the home's lock, so it is dead."""
    ended = await end_orphans(storage, app.contributors, me=app.generations.me)
    if ended:
        _log.warning("interrupted_generations_ended", count=ended)


def _begin(app: App) -> None:
    app.prices.load()
    app.routing.ask_in_background()
    if app.made.local is not None:
        app.made.local.start()


async def _drain(server: Server, app: App, graceful_s: float) -> None:
    await server.draining.wait()
    if app.generations.running:
        _log.warning("waiting_for_answers", running=app.generations.running, seconds=graceful_s, again="stops at once")
    await app.generations.drain(max(0.0, graceful_s - _HEADROOM_S))


async def _close(app: App) -> None:
    await app.routing.close()
    await app.generations.drain(0)
    if app.made.local is not None:
        await app.made.local.close()
