"""The server as a real client library sees it."""

import asyncio

import aiohttp
import pytest

from tertulia.asgi.exchange import json_answer
from tests.asgi.live import Live, Stage, route, served, until

STAGE = Stage()


async def echo(exchange):
    return json_answer({"size": len(await exchange.body()), "peer": exchange.scope["client"][1]})


@pytest.fixture(scope="module")
def live():
    with served(route("/echo", echo, "POST"), route("/s", STAGE.handler)) as made:
        yield made


@pytest.fixture
async def client(live: Live):
    async with aiohttp.ClientSession(f"http://127.0.0.1:{live.port}") as session:
        yield session


async def test_connections_are_kept(client: aiohttp.ClientSession):
    peers = set()
    for n in range(20):
        async with client.post("/echo", data=b"x" * n) as answer:
            told = await answer.json()
            assert told["size"] == n
            peers.add(told["peer"])
    assert len(peers) == 1


async def test_many_at_once(client: aiohttp.ClientSession):
    async def ask(n: int) -> int:
        async with client.post("/echo", data=b"x" * (n * 1000)) as answer:
            return (await answer.json())["size"]

    assert await asyncio.gather(*map(ask, range(100))) == [n * 1000 for n in range(100)]


async def test_a_body_of_unknown_length_and_one_that_waits_to_be_asked_for(client: aiohttp.ClientSession):
    async def parts():
        for _ in range(50):
            yield b"y" * 1000
            await asyncio.sleep(0)

    async with client.post("/echo", data=parts(), expect100=True) as answer:
        assert (await answer.json())["size"] == 50_000


async def test_a_stream_event_by_event_and_then_another_request_on_its_connection(
    live: Live, client: aiohttp.ClientSession
):
    STAGE.push = None
    async with client.get("/s") as answer:
        assert answer.content_type == "text/event-stream"
        for n in range(5):
            live.call(lambda n=n: STAGE.push.write(b"data: %d\n\n" % n))
            assert await answer.content.readuntil(b"\n\n") == b"data: %d\n\n" % n
        live.call(STAGE.push.close)
        assert await answer.content.read() == b""
    async with client.post("/echo") as answer:
        assert (await answer.json())["size"] == 0


async def test_giving_up_is_leaving(live: Live, client: aiohttp.ClientSession):
    STAGE.gone.clear()
    with pytest.raises(asyncio.TimeoutError):
        async with client.get("/s", timeout=aiohttp.ClientTimeout(total=0.1)) as answer:
            await answer.content.read()
    await asyncio.to_thread(until, lambda: STAGE.gone)
