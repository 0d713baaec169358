"""LangChain's `ChatOpenAI`, pointed at us."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests.asked import last_asked
from tests.running import FakeUpstream, RunningServer


@pytest.fixture(scope="module")
def langchain() -> Any:
    """The package, which takes a second to import."""
    import langchain_openai  # noqa: PLC0415

    return langchain_openai


@pytest.fixture
async def model(server: RunningServer, langchain: Any) -> AsyncIterator[Any]:
    with httpx2.Client() as client:
        async with httpx2.AsyncClient() as patient:  # its own are never closed
            yield langchain.ChatOpenAI(
                model="up/echo",
                base_url=f"{server.url}/v1",
                api_key=server.key(),
                timeout=20,
                stream_usage=True,
                http_client=client,
                http_async_client=patient,
            )


def test_invoke(model: Any, upstream: FakeUpstream) -> None:
    answer = model.invoke([("system", "Be brief."), ("human", "good morning")])
    assert answer.content == "good morning"
    assert answer.response_metadata["finish_reason"] == "stop"
    assert answer.usage_metadata["total_tokens"] > 0
    assert [message["role"] for message in last_asked(upstream)["messages"]] == ["system", "user"]


def test_stream(model: Any) -> None:
    chunks = list(model.stream("one two three four"))
    assert "".join(chunk.content for chunk in chunks) == "one two three four"
    assert sum(chunk.usage_metadata["output_tokens"] for chunk in chunks if chunk.usage_metadata) > 0


async def test_side_by_side(model: Any) -> None:
    answers = await model.abatch([f"question {n}" for n in range(8)])
    assert [answer.content for answer in answers] == [f"question {n}" for n in range(8)]


def test_bound_tools(model: Any, upstream: FakeUpstream) -> None:
    from langchain_core.messages import HumanMessage, ToolMessage  # noqa: PLC0415

    def weather(place: str) -> str:
        """Tell the weather of a place."""
        return f"rain in {place}"

    script = {"tool_calls": [{"name": "weather", "arguments": json.dumps({"place": "Porto"})}]}
    bound = model.bind_tools([weather])
    question = HumanMessage("How is it in Porto?")
    for asked in (bound.invoke, lambda messages, **more: _joined(bound.stream(messages, **more))):
        called = asked([question], extra_body={"script": script})
        assert [(call["name"], call["args"]) for call in called.tool_calls] == [("weather", {"place": "Porto"})]
        result = ToolMessage(weather(**called.tool_calls[0]["args"]), tool_call_id=called.tool_calls[0]["id"])
        assert bound.invoke([question, called, result]).content == "The tool said: rain in Porto"
    assert last_asked(upstream)["tools"][0]["function"]["name"] == "weather"


def _joined(chunks: Any) -> Any:
    first, *others = chunks
    for chunk in others:
        first += chunk
    return first


def test_an_error_is_openais(model: Any) -> None:
    import openai  # noqa: PLC0415

    with pytest.raises(openai.NotFoundError):
        model.bind(model="nonesuch").invoke("x")
