"""A provider over HTTP: whatever the host does, the sink hears of it in order and is told the end once."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tertulia.kernel.secret import Secret
from tertulia.providers.dialects.anthropic.dialect import Anthropic
from tertulia.providers.dialects.gemini.dialect import Gemini
from tertulia.providers.dialects.ollama.dialect import Ollama
from tertulia.providers.dialects.openai.dialect import OpenAI
from tertulia.providers.http import HttpProvider
from tertulia.providers.port import Failure, Finished, Profile, Said, Target, UpstreamFault
from tertulia.turn.content import AudioPart, Message
from tertulia.turn.events import Finish, Text, UsageSeen
from tertulia.turn.request import Request
from tertulia.turn.usage import Usage

TARGET = Target("acme", "m")
STREAM = Request((Message("user", "hi"),), {}, stream=True)
WHOLE = Request((Message("user", "hi"),), {}, stream=False)


def frame(text: str = "", finish: str | None = None) -> bytes:
    chunk = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}
    return f"data: {json.dumps(chunk)}\n\n".encode()


DONE = b"data: [DONE]\n\n"
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
COMPLETION = json.dumps(
    {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    }
).encode()


class Heard:
    """A sink that keeps everything, and fails the test when it hears anything after the end."""

    def __init__(self) -> None:
        self.said: list[Said] = []
        self.over: asyncio.Future[Finished | Failure] = asyncio.get_running_loop().create_future()
        self.first = asyncio.Event()
        self.on_events: Callable[[], Any] | None = None

    def events(self, batch: Sequence[Said]) -> None:
        assert batch
        assert not self.over.done()
        self.said += batch
        self.first.set()
        if self.on_events is not None:
            self.on_events()

    def ended(self, how: Finished | Failure) -> None:
        self.over.set_result(how)

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.said if isinstance(event, Text))

    async def failure(self) -> Failure:
        how = await self.over
        assert isinstance(how, Failure)
        return how


@pytest.fixture
async def heard() -> Heard:
    return Heard()


@pytest.fixture
def provider(transport):
    def make(url: str, **settings: Any) -> HttpProvider:
        defaults: dict[str, Any] = {"base_url": f"{url}/v1", "dialect": OpenAI(), "timeout_s": 0.3}
        return HttpProvider("acme", transport=transport, **{**defaults, **settings})

    return make


async def test_a_stream_comes_as_it_is_said(upstream, provider, heard):
    proceed = asyncio.Event()

    async def behave(connection):
        await connection.request()
        connection.begin_stream()
        connection.chunk(frame("one "))
        await proceed.wait()
        connection.chunk(frame("two")[:30])
        await connection.writer.drain()
        connection.chunk(frame("two")[30:] + frame(finish="stop") + USAGE + DONE)
        connection.chunk(b"")

    server = await upstream(behave)
    provider(server.url).call(STREAM, TARGET, heard)
    await heard.first.wait()
    assert heard.text == "one "
    proceed.set()
    assert await heard.over == Finished((Finish("stop", 0, "stop"),))
    assert heard.text == "one two"
    assert heard.said[-1] == UsageSeen(Usage(3, 2))
    head, body = server.connections[0].requests[0]
    assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert json.loads(body)["stream"] is True


async def test_a_blocking_request_asks_for_a_whole_answer(upstream, provider, heard):
    async def behave(connection):
        await connection.request()
        connection.answer(COMPLETION, content_type="application/json")

    server = await upstream(behave)
    provider(server.url).call(WHOLE, TARGET, heard)
    assert await heard.over == Finished((Finish("stop", 0, "stop"),))
    assert heard.said == [Text("hello"), UsageSeen(Usage(3, 2))]
    assert "stream" not in json.loads(server.connections[0].requests[0][1])


@pytest.mark.parametrize(("request_", "stream_comes"), [(STREAM, False), (WHOLE, True)])
async def test_what_comes_is_read_by_what_it_says_it_is(upstream, provider, heard, request_, stream_comes):
    async def behave(connection):
        await connection.request()
        if stream_comes:
            connection.answer(frame("hello", "stop") + DONE, content_type="text/event-stream; charset=utf-8")
        else:
            connection.answer(COMPLETION, content_type="application/json")

    server = await upstream(behave)
    provider(server.url).call(request_, TARGET, heard)
    assert isinstance(await heard.over, Finished)
    assert heard.text == "hello"


async def test_the_end_comes_with_the_terminal_and_the_connection_is_used_again(upstream, provider):
    late = asyncio.Event()

    async def behave(connection):
        while True:
            await connection.request()
            connection.begin_stream()
            connection.chunk(frame("x", "stop") + DONE)
            await late.wait()
            connection.chunk(b"")

    server = await upstream(behave)
    acme, first, second = provider(server.url), Heard(), Heard()
    acme.call(STREAM, TARGET, first)
    assert isinstance(await asyncio.wait_for(first.over, 0.2), Finished)
    late.set()
    await asyncio.sleep(0.05)
    acme.call(STREAM, TARGET, second)
    assert isinstance(await second.over, Finished)
    assert len(server.connections) == 1


@pytest.mark.parametrize("request_", [STREAM, WHOLE])
@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("400 Bad Request", "invalid"),
        ("401 Unauthorized", "upstream_error"),
        ("404 Not Found", "model_not_found"),
        ("429 Too Many Requests", "rate_limited"),
        ("503 Service Unavailable", "provider_unavailable"),
        ("307 Temporary Redirect", "upstream_error"),
    ],
)
async def test_refusals_of_the_host(upstream, provider, heard, request_, status, code):
    async def behave(connection):
        await connection.request()
        connection.answer(b'{"error":{"message":"no"}}', status=status, retry_after="3")

    server = await upstream(behave)
    provider(server.url).call(request_, TARGET, heard)
    failure = await heard.failure()
    assert (failure.fault.code, failure.status, failure.retry_after) == (code, int(status[:3]), 3.0)
    assert heard.said == []


async def test_an_error_of_endless_length_is_cut(upstream, provider, heard):
    async def behave(connection):
        await connection.request()
        connection.send(b"HTTP/1.1 500 Oh\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(40):
            connection.chunk(b"lamp " * 2000)
        connection.chunk(b"")

    server = await upstream(behave)
    provider(server.url).call(WHOLE, TARGET, heard)
    assert len((await heard.failure()).fault.message) < 1100


@pytest.mark.parametrize("request_", [STREAM, WHOLE])
async def test_half_an_answer_is_a_cut_with_what_came(upstream, provider, heard, request_):
    async def behave(connection):
        await connection.request()
        if request_.stream:
            connection.begin_stream()
            connection.chunk(frame("half") + frame("lost")[:20])
        else:
            connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n" + COMPLETION[:40])
        await connection.writer.drain()
        await asyncio.sleep(0.02)
        connection.reset()

    server = await upstream(behave)
    provider(server.url).call(request_, TARGET, heard)
    failure = await heard.failure()
    assert (failure.fault.code, failure.retry) == ("upstream_truncated", True)
    assert heard.text == ("half" if request_.stream else "")


async def test_a_clean_end_without_terminal_is_a_cut(upstream, provider, heard):
    async def behave(connection):
        await connection.request()
        connection.begin_stream()
        connection.chunk(frame("half"))
        connection.chunk(b"")

    server = await upstream(behave)
    provider(server.url).call(STREAM, TARGET, heard)
    assert ((await heard.failure()).fault.code, heard.text) == ("upstream_truncated", "half")


async def test_a_reset_after_the_reason_is_no_failure(upstream, provider, heard):
    async def behave(connection):
        await connection.request()
        connection.begin_stream()
        connection.chunk(frame("all", "stop"))
        await connection.writer.drain()
        await asyncio.sleep(0.02)
        connection.reset()

    server = await upstream(behave)
    provider(server.url).call(STREAM, TARGET, heard)
    assert await heard.over == Finished((Finish("stop", 0, "stop"),))


@pytest.mark.promise(4)
@pytest.mark.parametrize("said", [False, True])
async def test_silence_ends_the_call(upstream, provider, heard, said):
    async def behave(connection):
        await connection.request()
        if said:
            connection.begin_stream()
            connection.chunk(frame("half"))
        await connection.gone()
        gone.set()

    gone = asyncio.Event()
    server = await upstream(behave)
    provider(server.url, timeout_s=0.1).call(STREAM, TARGET, heard)
    failure = await heard.failure()
    assert (failure.fault.code, heard.text) == ("upstream_timeout", "half" if said else "")
    await asyncio.wait_for(gone.wait(), 1)


async def test_comments_keep_a_queued_answer_alive(upstream, provider, heard):
    async def behave(connection):
        await connection.request()
        connection.begin_stream()
        for _ in range(6):
            connection.chunk(b": keep-alive\n\n")
            await asyncio.sleep(0.05)
        connection.chunk(frame("x", "stop") + DONE)
        connection.chunk(b"")

    server = await upstream(behave)
    provider(server.url, timeout_s=0.15).call(STREAM, TARGET, heard)
    assert isinstance(await heard.over, Finished)


async def test_a_host_that_is_not_there(upstream, provider, heard):
    async def behave(connection):
        await connection.request()

    server = await upstream(behave)
    await server.stop()
    provider(server.url).call(STREAM, TARGET, heard)
    failure = await heard.failure()
    assert (failure.fault.code, failure.retry, failure.fallback) == ("provider_unavailable", True, True)


@pytest.mark.promise(11)
async def test_a_frame_of_ten_megabytes_ends_the_call_and_the_connection(upstream, provider, heard):
    async def behave(connection):
        await connection.request()
        connection.begin_stream()
        connection.chunk(frame("before") + b"data: ")
        for _ in range(160):
            connection.chunk(b"x" * 65536)
            await connection.writer.drain()
        await connection.gone()

    server = await upstream(behave)
    provider(server.url).call(STREAM, TARGET, heard)
    assert ((await heard.failure()).fault.code, heard.text) == ("upstream_invalid", "before")


async def test_an_error_in_the_stream_closes_the_connection(upstream, provider, heard):
    async def behave(connection):
        await connection.request()
        connection.begin_stream()
        connection.chunk(frame("half") + b'data: {"error":{"message":"boom","code":502}}\n\n')
        await connection.gone()
        gone.set()

    gone = asyncio.Event()
    server = await upstream(behave)
    provider(server.url).call(STREAM, TARGET, heard)
    failure = await heard.failure()
    assert (failure.fault.code, failure.fault.message, heard.text) == ("upstream_error", "boom", "half")
    await asyncio.wait_for(gone.wait(), 1)


@pytest.mark.promise(10)
@pytest.mark.parametrize("request_", [STREAM, WHOLE])
async def test_a_stop_reaches_the_host_within_a_second_and_ends_once(upstream, provider, heard, request_):
    asked, gone = asyncio.Event(), asyncio.Event()

    async def behave(connection):
        await connection.request()
        if request_.stream:
            connection.begin_stream()
            connection.chunk(frame("half"))
        asked.set()
        await connection.gone()
        gone.set()

    server = await upstream(behave)
    call = provider(server.url, timeout_s=30).call(request_, TARGET, heard)
    await asked.wait()
    if request_.stream:
        await heard.first.wait()
    call.abort()
    assert not heard.over.done()
    call.abort()
    await asyncio.wait_for(gone.wait(), 1)
    assert (await heard.failure()).fault.code == "aborted"


async def test_a_stop_from_within_events_is_the_last_but_the_end(upstream, provider, heard):
    async def behave(connection):
        await connection.request()
        connection.begin_stream()
        connection.chunk(frame("one"))
        await asyncio.sleep(0.02)
        connection.chunk(frame("two", "stop") + DONE)

    server = await upstream(behave)
    call = provider(server.url).call(STREAM, TARGET, heard)
    heard.on_events = call.abort
    assert (await heard.failure()).fault.code == "aborted"
    await asyncio.sleep(0.05)
    assert heard.text == "one"


async def test_a_stop_after_the_end_says_nothing(upstream, provider, heard):
    async def behave(connection):
        await connection.request()
        connection.answer(COMPLETION)

    server = await upstream(behave)
    call = provider(server.url).call(WHOLE, TARGET, heard)
    assert isinstance(await heard.over, Finished)
    call.abort()
    call.pause()
    call.resume()
    await asyncio.sleep(0.01)


async def test_a_stopped_answer_is_counted_as_far_as_the_host_counted(upstream, provider, heard):
    async def behave(connection):
        await connection.request()
        connection.begin_stream()
        chunk = {
            "choices": [{"index": 0, "delta": {"content": "x"}}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 1},
        }
        connection.chunk(f"data: {json.dumps(chunk)}\n\n".encode())
        await connection.gone()

    server = await upstream(behave)
    call = provider(server.url).call(STREAM, TARGET, heard)
    await heard.first.wait()
    call.abort()
    await heard.over
    assert heard.said == [Text("x"), UsageSeen(Usage(7, 1))]


async def test_content_that_the_wire_cannot_carry_fails_through_the_sink(provider, heard):
    request = Request((Message("user", [AudioPart({"data": "", "format": "wav"})]),), {}, stream=True)
    call = provider("http://127.0.0.1:1", dialect=Anthropic()).call(request, TARGET, heard)
    assert not heard.over.done()
    assert (await heard.failure()).fault.code == "invalid"
    call.abort()


async def test_keys_are_used_in_turn_and_the_callers_own_wins(upstream, provider):
    async def behave(connection):
        while True:
            await connection.request()
            connection.answer(COMPLETION, content_type="application/json")

    server = await upstream(behave)
    acme = provider(server.url, keys=(Secret("k1"), Secret("k2")), extra_headers={"X-Title": "Tertulia"})
    for target in (TARGET, TARGET, TARGET, Target("acme", "m", Secret("own"))):
        heard = Heard()
        acme.call(WHOLE, target, heard)
        await heard.over
    heads = [head for head, _ in server.connections[0].requests]
    keys = [line for head in heads for line in head.split(b"\r\n") if line.lower().startswith(b"authorization")]
    assert [key.rpartition(b" ")[2] for key in keys] == [b"k1", b"k2", b"k1", b"own"]
    assert all(b"x-title: tertulia" in head.lower() for head in heads)


@pytest.mark.promise(36)
@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "401 Unauthorized", "500 Oh"])
async def test_a_key_that_the_host_repeats_is_not_shown(upstream, provider, heard, status):
    async def behave(connection):
        head, _ = await connection.request()
        key = head.decode().lower().partition("bearer ")[2].partition("\r\n")[0]
        connection.answer(json.dumps({"error": {"message": f"bad key {key}", "code": key}}).encode(), status=status)

    server = await upstream(behave)
    provider(server.url, keys=(Secret("quiet canary"),)).call(WHOLE, TARGET, heard)
    failure = await heard.failure()
    assert "bad key" in failure.fault.message
    assert "canary" not in repr(failure)


@pytest.mark.promise(36)
async def test_no_failure_names_the_host(upstream, provider, heard):
    async def behave(connection):
        await connection.request()

    server = await upstream(behave)
    await server.stop()
    provider(server.url).call(WHOLE, TARGET, heard)
    assert str(server.port) not in repr(await heard.failure())


@pytest.mark.parametrize(
    ("dialect", "base", "path"),
    [
        (OpenAI(), "/v1", "/v1/chat/completions"),
        (OpenAI(), "/api/v1/", "/api/v1/chat/completions"),
        (OpenAI(prefix="/inference"), "", "/inference/chat/completions"),
        (Anthropic(), "", "/v1/messages"),
        (Anthropic(), "/v1", "/v1/messages"),
        (Gemini(), "", "/v1beta/models/m:generateContent"),
        (Gemini(), "/v1beta", "/v1beta/models/m:generateContent"),
        (Ollama(), "", "/api/chat"),
    ],
)
async def test_addresses_of_the_wires(upstream, provider, heard, dialect, base, path):
    async def behave(connection):
        await connection.request()
        connection.answer(b"", status="404 Not Found")

    server = await upstream(behave)
    provider(server.url, base_url=server.url + base, dialect=dialect).call(WHOLE, TARGET, heard)
    await heard.over
    assert server.connections[0].requests[0][0].decode().split(" ")[1] == path


async def test_the_model_list(upstream, provider):
    async def behave(connection):
        await connection.request()
        connection.answer(b'{"data":[{"id":"a"},{"id":"b"}]}', content_type="application/json")

    server = await upstream(behave)
    assert [one.id for one in await provider(server.url, keys=(Secret("k"),)).models()] == ["a", "b"]
    head = server.connections[0].requests[0][0].lower()
    assert head.startswith(b"get /v1/models ")
    assert b"authorization: bearer k" in head


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        ("401 No", b"{}", "upstream_error"),
        ("200 OK", b"<html>", "upstream_invalid"),
        ("200 OK", b"{}", "upstream_invalid"),
    ],
)
async def test_a_model_list_that_does_not_come(upstream, provider, status, body, code):
    async def behave(connection):
        await connection.request()
        connection.answer(body, status=status)

    server = await upstream(behave)
    with pytest.raises(UpstreamFault) as caught:
        await provider(server.url).models()
    assert caught.value.failure.fault.code == code


async def test_dropped_parameters_are_known_before_and_with_the_call(upstream, provider, heard):
    async def behave(connection):
        await connection.request()
        connection.answer(COMPLETION)

    server = await upstream(behave)
    profiles = {"m": Profile(refuses=frozenset({"seed"}))}
    acme = provider(server.url, profile=lambda model: profiles.get(model, Profile()))
    request = Request((Message("user", "hi"),), {"seed": 1})
    assert acme.dropped(request, "m") == ("seed",)
    assert acme.dropped(request, "other") == ()
    assert acme.call(request, TARGET, heard).dropped == ("seed",)
    await heard.over


@pytest.mark.promise(8)
async def test_a_paused_call_makes_the_host_wait(upstream, provider, heard):
    count, sent = 6000, 0
    line = frame("x" * 4000)

    async def behave(connection):
        nonlocal sent
        await connection.request()
        connection.begin_stream()
        for _ in range(count):
            connection.chunk(line)
            await connection.writer.drain()
            sent += 1
        connection.chunk(frame(finish="stop") + DONE)
        connection.chunk(b"")

    server = await upstream(behave)
    call = provider(server.url, timeout_s=30).call(STREAM, TARGET, heard)
    heard.on_events = call.pause
    await heard.first.wait()
    before = -1
    while before != sent:
        before = sent
        await asyncio.sleep(0.1)
    assert sent < count / 1.5
    heard.on_events = None
    call.resume()
    assert isinstance(await heard.over, Finished)
    assert len(heard.text) == count * 4000
