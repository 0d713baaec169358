"""The embedded model as the server sees it: real children that load the real model."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import psutil
import pytest

from tertulia.kernel.errors import Kind
from tertulia.providers.local.gguf import Gguf
from tertulia.providers.local.handshake import Engine
from tertulia.providers.local.process import Endpoint, Health, LocalModel, ModelUnavailable, Patience

Connect = Callable[[Endpoint], AbstractAsyncContextManager[aiohttp.ClientSession]]
Gone = Callable[[int], bool]

FRANCE = [{"role": "user", "content": "What is the capital of France?"}]
STORY = [{"role": "user", "content": "Tell me a very long story."}]
IMPATIENT = Patience(backoff=0.01, attempts=2, rest=0.1)


def asked(messages: list[dict[str, str]], **parameters: Any) -> dict[str, Any]:
    return {"model": "smollm2", "messages": messages, "temperature": 0, **parameters}


async def answer(session: aiohttp.ClientSession, endpoint: Endpoint, body: dict[str, Any]) -> dict[str, Any]:
    async with session.post(f"{endpoint.base_url}/chat/completions", json=body) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def frames(response: aiohttp.ClientResponse) -> list[Any]:
    """Read a stream to its end: the JSON of each event, and the closing word."""
    lines = [line async for line in response.content if line.startswith(b"data:")]
    return [json.loads(line[5:]) for line in lines[:-1]] + [lines[-1][5:].strip().decode()]


async def until(condition: Callable[[], bool], within_s: float) -> bool:
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.02)
    return True


async def killed(model: LocalModel, number: signal.Signals) -> int:
    """Kill the child and wait until the supervisor has seen it; gives the dead one's number."""
    pid = model.health.pid
    assert pid is not None
    os.kill(pid, number)
    assert await until(lambda: model.health.pid != pid, 10)
    return pid


async def test_it_answers_whole_and_streamed(model: LocalModel, connect: Connect) -> None:
    assert model.health == Health("absent")
    endpoint = await model.ready()
    assert (model.health.state, model.endpoint) == ("ready", endpoint)
    async with connect(endpoint) as session:
        whole = await answer(session, endpoint, asked(FRANCE))
        body = asked(FRANCE, stream=True, stream_options={"include_usage": True})
        async with session.post(f"{endpoint.base_url}/chat/completions", json=body) as response:
            told = await frames(response)
    text = whole["choices"][0]["message"]["content"]
    assert "Paris" in text
    assert whole["choices"][0]["finish_reason"] == "stop"
    assert told[-1] == "[DONE]"
    choices = [choice for frame in told[:-1] for choice in frame["choices"]]
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == text
    assert choices[-1]["finish_reason"] == "stop"
    assert told[-2]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"] > 0


async def test_a_wrong_key_is_refused_on_every_path_that_matters(model: LocalModel) -> None:
    endpoint = await model.ready()
    root = endpoint.base_url.removesuffix("/v1")
    async with aiohttp.ClientSession() as session:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            for path in ("/v1/chat/completions", "/completion", "/v1/models", "/props", "/slots", "/metrics"):
                async with session.get(root + path, headers=headers) as response:
                    assert response.status == 401, path
            async with session.post(f"{root}/v1/chat/completions", json=asked(FRANCE), headers=headers) as response:
                assert response.status == 401
                assert (await response.json())["error"]["type"] == "authentication_error"


async def test_the_key_is_in_no_argument_and_no_environment(
    demo: Gguf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TERTULIA_ADMIN_API_KEY", "canary")
    model = LocalModel(demo)
    try:
        endpoint = await model.ready()
        child = psutil.Process(model.health.pid)
        seen = " ".join([*child.cmdline(), *(f"{name}={value}" for name, value in child.environ().items())])
        assert endpoint.api_key.reveal() not in seen
        assert "canary" not in seen
    finally:
        await model.close()


async def test_each_answer_says_that_its_connection_ends(model: LocalModel, connect: Connect) -> None:
    endpoint = await model.ready()
    async with connect(endpoint) as session:
        for stream in (False, True):
            body = asked(FRANCE, stream=stream, max_tokens=3)
            async with session.post(f"{endpoint.base_url}/chat/completions", json=body) as response:
                assert response.headers["Connection"] == "close"
                await response.read()


async def test_the_ways_of_the_engine_that_an_adapter_relies_on(demo: Gguf, connect: Connect) -> None:
    model = LocalModel(demo, engine=Engine(context=512, max_tokens=7))
    try:
        endpoint = await model.ready()
        async with connect(endpoint) as session:
            capped = await answer(session, endpoint, asked(STORY))
            assert capped["choices"][0]["finish_reason"] == "length"
            assert capped["usage"]["completion_tokens"] == 7
            more = await answer(session, endpoint, asked(STORY, max_tokens=9))
            assert more["usage"]["completion_tokens"] == 9
            long = asked([{"role": "user", "content": "word " * 600}])
            async with session.post(f"{endpoint.base_url}/chat/completions", json=long) as response:
                error = (await response.json())["error"]
                assert (response.status, error["type"]) == (400, "exceed_context_size_error")
                assert error["n_ctx"] == 512
            tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
            plain = await answer(session, endpoint, asked(FRANCE, tools=tools, tool_choice="required"))
            assert "tool_calls" not in plain["choices"][0]["message"]
            started = [*FRANCE, {"role": "assistant", "content": "The capital of"}]
            continued = await answer(session, endpoint, asked(started))
            assert continued["choices"][0]["message"]["content"].startswith("The capital of")
    finally:
        await model.close()


async def test_the_caller_goes_on_while_it_loads(demo: Gguf) -> None:
    model = LocalModel(demo)
    try:
        model.start()
        assert (model.health.state, model.endpoint) == ("loading", None)
        with pytest.raises(ModelUnavailable, match="still loading") as raised:
            await model.ready(timeout_s=0.01)
        assert (raised.value.kind, raised.value.code) == (Kind.UNAVAILABLE, "provider_unavailable")
        assert raised.value.retry_after is not None
        several = await asyncio.gather(*(model.ready() for _ in range(5)))
        assert len({endpoint.base_url for endpoint in several}) == 1
        assert model.health.restarts == 0
    finally:
        await model.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV])
async def test_a_child_that_dies_is_replaced(model: LocalModel, connect: Connect, number: signal.Signals) -> None:
    await model.ready()
    dead = await killed(model, number)
    endpoint = await model.ready()
    assert model.health.pid != dead
    assert model.health.restarts == 1
    assert model.health.error == f"it was ended by {number.name}"
    async with connect(endpoint) as session:
        assert "Paris" in (await answer(session, endpoint, asked(FRANCE)))["choices"][0]["message"]["content"]


async def test_one_that_dies_again_and_again_comes_back_each_time(demo: Gguf) -> None:
    seen: list[Health] = []
    model = LocalModel(demo, patience=IMPATIENT, on_change=seen.append)
    try:
        await model.ready()
        for _ in range(4):
            await killed(model, signal.SIGKILL)
            await model.ready()
        assert model.health.restarts == 4
        assert [health.state for health in seen] == ["loading", "ready", *["restarting", "ready"] * 4]
    finally:
        await model.close()


async def test_the_signals_that_end_a_server_do_not_cut_its_answers(model: LocalModel, connect: Connect) -> None:
    endpoint = await model.ready()
    assert model.health.pid is not None
    os.kill(model.health.pid, signal.SIGTERM)
    os.kill(model.health.pid, signal.SIGINT)
    async with connect(endpoint) as session:
        assert "Paris" in (await answer(session, endpoint, asked(FRANCE)))["choices"][0]["message"]["content"]
    assert model.health.restarts == 0


async def test_one_that_cannot_be_loaded_fails_with_its_reason_and_is_tried_again(tmp_path: Path, demo: Gguf) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(demo.path.read_bytes()[:4_000_000])
    cut = msgspec.structs.replace(demo, path=path)
    model = LocalModel(cut, patience=msgspec.structs.replace(IMPATIENT, rest=30))
    try:
        for _ in range(2):
            with pytest.raises(ModelUnavailable, match="corrupted or incomplete") as raised:
                await model.ready()
            assert raised.value.code == "provider_unavailable"
            assert 0 < (raised.value.retry_after or 0) <= 30
        assert model.health.state == "failed"
        assert model.health.restarts == 1
    finally:
        await model.close()


async def test_after_its_rest_a_failed_one_is_tried_again(tmp_path: Path, demo: Gguf) -> None:
    path = tmp_path / "late.gguf"
    model = LocalModel(msgspec.structs.replace(demo, path=path), patience=IMPATIENT)
    try:
        with pytest.raises(ModelUnavailable):
            await model.ready()
        path.symlink_to(demo.path)
        await asyncio.sleep(IMPATIENT.rest)
        await model.ready()
        assert model.health.state == "ready"
    finally:
        await model.close()


@pytest.mark.promise(10)
@pytest.mark.slow
@pytest.mark.parametrize("stream", [True, False])
async def test_who_leaves_stops_the_answer(model: LocalModel, connect: Connect, *, stream: bool) -> None:
    """Both places are taken by answers that would go on for half a minute and more; leaving them frees both."""
    endpoint = await model.ready()
    body = asked(STORY, stream=stream, max_tokens=3900, ignore_eos=True)

    async def listen() -> None:
        async with session.post(f"{endpoint.base_url}/chat/completions", json=body) as response:
            async for line in response.content:
                if b'"content":"' in line:
                    heard.set()

    async with connect(endpoint) as session:
        heard = asyncio.Event()
        listeners = [asyncio.create_task(listen()) for _ in range(model.engine.slots)]
        if stream:
            await asyncio.wait_for(heard.wait(), 30)
        else:
            await asyncio.sleep(1)  # a blocking answer gives no sign that it has begun
        for listener in listeners:
            listener.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)
        began = time.monotonic()
        await answer(session, endpoint, asked(FRANCE, max_tokens=3))
        assert time.monotonic() - began < 8


async def test_close_leaves_no_process(demo: Gguf, gone: Gone) -> None:
    model = LocalModel(demo)
    await model.ready()
    pid = model.health.pid
    assert pid is not None
    await model.close()
    await model.close()
    assert gone(pid)
    assert model.health == Health("absent")
    with pytest.raises(ModelUnavailable, match="shut down"):
        await model.ready()


async def test_close_while_it_loads_ends_it_and_tells_who_waits(demo: Gguf) -> None:
    model = LocalModel(demo)
    before = {child.pid for child in psutil.Process().children()}
    waiting = asyncio.create_task(model.ready())
    await until(lambda: {child.pid for child in psutil.Process().children()} != before, 10)
    await model.close()
    with pytest.raises(ModelUnavailable):
        await waiting
    assert {child.pid for child in psutil.Process().children()} == before


async def test_close_before_it_was_asked_for_does_nothing(demo: Gguf) -> None:
    model = LocalModel(demo)
    await model.close()
    assert model.health == Health("absent")


PARENT = """
import asyncio, sys
from pathlib import Path
from tertulia.providers.local.gguf import read
from tertulia.providers.local.process import LocalModel

async def main():
    model = LocalModel(read(Path(sys.argv[1]), "configured"))
    model.start()
    if sys.argv[2] == "ready":
        await model.ready()
    else:
        while model._child is None:
            await asyncio.sleep(0)
    print(model._child.pid, flush=True)
    await asyncio.sleep(100)

asyncio.run(main())
"""


@pytest.mark.parametrize("when", ["loading", "ready"])
def test_a_child_is_gone_when_its_parent_is_killed(demo: Gguf, gone: Gone, when: str) -> None:
    command = [sys.executable, "-c", PARENT, str(demo.path), when]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.kill()
        parent.wait()
    assert asyncio.run(until(lambda: gone(pid), 5))
