"""The same package's asynchronous client."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from tests.clients.conftest import WEATHER, said
from tests.running import FakeUpstream, RunningServer

MODEL = "up/echo"


@pytest.fixture
async def patient(server: RunningServer) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key=server.key(), timeout=20) as made:
        yield made


async def test_whole_answers_side_by_side(patient: openai.AsyncOpenAI) -> None:
    texts = [f"this is question {n}" for n in range(20)]
    asked = (patient.chat.completions.create(model=MODEL, messages=said(text)) for text in texts)
    answers = await asyncio.gather(*asked)
    assert [answer.choices[0].message.content for answer in answers] == texts


async def test_streams_side_by_side_do_not_mix(patient: openai.AsyncOpenAI) -> None:
    async def ask(text: str) -> str:
        script: Any = {"script": {"reply": text, "pace_ms": 1}}
        stream = await patient.chat.completions.create(
            model=MODEL, messages=said("x"), stream=True, extra_body=script, stream_options={"include_usage": True}
        )
        pieces = [choice.delta.content or "" async for chunk in stream for choice in chunk.choices]
        return "".join(pieces)

    texts = [f"{n} " * 40 for n in range(12)]
    assert await asyncio.gather(*map(ask, texts)) == texts


async def test_a_tool_round(patient: openai.AsyncOpenAI) -> None:
    async with patient.chat.completions.stream(model=MODEL, messages=said("?"), tools=[WEATHER]) as stream:
        message = (await stream.get_final_completion()).choices[0].message
    assert message.tool_calls
    result: Any = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sun"}
    call: Any = {
        "role": "assistant",
        "tool_calls": [
            {"id": message.tool_calls[0].id, "type": "function", "function": {"name": "weather", "arguments": "{}"}}
        ],
    }
    answer = await patient.chat.completions.create(model=MODEL, messages=[*said("?"), call, result])
    assert answer.choices[0].message.content == "The tool said: sun"


@pytest.mark.promise(9)
async def test_a_stream_that_is_closed_stops_its_provider(patient: openai.AsyncOpenAI, upstream: FakeUpstream) -> None:
    left = upstream.counts()["left"]
    script: Any = {"script": {"reply": "word " * 500, "pace_ms": 20}}
    async with await patient.chat.completions.create(
        model=MODEL, messages=said("x"), stream=True, extra_body=script
    ) as stream:
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                break
    for _ in range(100):
        if upstream.counts()["left"] == left + 1:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the provider went on speaking to nobody")


async def test_errors(patient: openai.AsyncOpenAI, upstream: FakeUpstream) -> None:
    before = upstream.counts()["asked"]
    broken: Any = {"script": {"fault": {"kind": "status", "status": 500}}}
    with pytest.raises(openai.InternalServerError):
        await patient.chat.completions.create(model=MODEL, messages=said("x"), extra_body=broken)
    with pytest.raises(openai.NotFoundError):
        await patient.chat.completions.create(model="nonesuch", messages=said("x"))
    assert upstream.counts()["asked"] == before + 1
    assert "up/echo" in [model.id async for model in patient.models.list()]
