"""The embedded model's provider, before its child serves."""

import asyncio
from typing import Any, cast

import pytest

from tertulia.providers.local.process import Endpoint, LocalModel
from tertulia.providers.local.provider import LocalProvider
from tertulia.providers.port import Failure, Finished, Provider, Target
from tertulia.turn.content import Message
from tertulia.turn.request import Request

REQUEST = Request((Message("user", "hi"),), {"tools": [], "temperature": 1}, stream=True)
TARGET = Target("local", "tiny")


class Model:
    """A model that is ready when it is told to be."""

    name = "tiny"

    def __init__(self) -> None:
        self.readiness: asyncio.Future[Endpoint] = asyncio.get_running_loop().create_future()

    async def ready(self) -> Endpoint:
        return await self.readiness


class Heard:
    """A sink that keeps how the call ended."""

    def __init__(self) -> None:
        self.ends: list[Finished | Failure] = []
        self.ended_once = asyncio.Event()

    def events(self, batch: Any) -> None:
        raise AssertionError(batch)

    def ended(self, how: Finished | Failure) -> None:
        self.ends.append(how)
        self.ended_once.set()


def broken(_: Endpoint) -> Provider:
    raise RuntimeError("a defect")


def provider(model: Model) -> LocalProvider:
    return LocalProvider(cast("LocalModel", model), broken)


async def test_a_waiting_call_names_what_is_dropped():
    call = provider(Model()).call(REQUEST, TARGET, Heard())
    assert call.dropped == ("tools",)
    call.abort()


@pytest.mark.parametrize("where", ["ready", "make"])
async def test_a_defect_still_ends_the_call(where):
    model, heard = Model(), Heard()
    call = provider(model).call(REQUEST, TARGET, heard)
    if where == "ready":
        model.readiness.set_exception(OSError("no more processes"))
    else:
        model.readiness.set_result(cast("Endpoint", None))
    await asyncio.wait_for(heard.ended_once.wait(), 5)
    call.abort()
    assert [how.fault.code for how in heard.ends if isinstance(how, Failure)] == ["internal"]


async def test_an_aborted_call_ends_once():
    model, heard = Model(), Heard()
    call = provider(model).call(REQUEST, TARGET, heard)
    call.abort()
    model.readiness.set_result(cast("Endpoint", None))
    for _ in range(5):
        await asyncio.sleep(0)
    call.abort()
    assert [how.fault.code for how in heard.ends if isinstance(how, Failure)] == ["aborted"]
