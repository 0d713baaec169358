"""HTTP to providers against an upstream that misbehaves; every adapter of the port obeys the same."""

import asyncio
import gzip
import zlib

import pytest

from tertulia.net.transport import Broken, Limits, Malformed, Oversized, Silent, TransportError, Unreachable, Unsendable

QUICK = Limits(connect_s=0.3, idle_s=0.2, max_bytes=1_000_000)


async def test_a_request_goes_out_whole_and_its_answer_comes_in(upstream, transport, listener):
    async def behave(connection):
        await connection.request()
        connection.answer(b"hello", content_type="text/plain", X_Odd="Yes")

    server = await upstream(behave)
    transport.post(f"{server.url}/a%2Fb?c=d", {"x-one": "1", "content-type": "application/json"}, b"{}", listener)
    assert await listener.over is None
    assert (listener.status, listener.body, listener.headers["x-odd"]) == (200, b"hello", "Yes")
    head, body = server.connections[0].requests[0]
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "post /a%2fb?c=d http/1.1"
    assert {"x-one: 1", "content-type: application/json", "content-length: 2", f"host: 127.0.0.1:{server.port}"} <= set(
        lines
    )
    assert body == b"{}"


async def test_data_comes_as_it_is_sent(upstream, transport, listener):
    proceed = asyncio.Event()

    async def behave(connection):
        await connection.request()
        connection.begin_stream()
        connection.chunk(b"one")
        await proceed.wait()
        connection.chunk(b"two")
        connection.chunk(b"")

    server = await upstream(behave)
    transport.post(server.url, {}, b"", listener)
    await listener.first.wait()
    assert listener.body == b"one"
    proceed.set()
    assert await listener.over is None
    assert listener.body == b"onetwo"


async def test_a_large_body_goes_out_whole(upstream, transport, listener):
    async def behave(connection):
        _, body = await connection.request()
        connection.answer(str(len(body)).encode())

    server = await upstream(behave)
    transport.post(server.url, {}, b"x" * 3_000_000, listener)
    assert await listener.over is None
    assert listener.body == b"3000000"


async def test_connections_are_used_again(upstream, transport, listeners):
    async def behave(connection):
        while True:
            await connection.request()
            connection.answer(b"ok")

    server = await upstream(behave)
    for _ in range(5):
        listener = listeners()
        transport.post(server.url, {}, b"x", listener)
        assert await listener.over is None
    assert [len(connection.requests) for connection in server.connections] == [5]


async def test_many_at_once_have_a_connection_each(upstream, transport, listeners):
    async def behave(connection):
        await connection.request()
        if connection.number == 29:
            arrived.set()
        await everyone.wait()
        connection.answer(b"ok")

    everyone, arrived = asyncio.Event(), asyncio.Event()
    server = await upstream(behave)
    waiting = [listeners() for _ in range(30)]
    for listener in waiting:
        transport.post(server.url, {}, b"x", listener)
    await asyncio.wait_for(arrived.wait(), 5)
    everyone.set()
    assert [await listener.over for listener in waiting] == [None] * 30


async def test_a_kept_connection_that_was_closed_is_not_used(upstream, transport, listeners):
    async def behave(connection):
        await connection.request()
        connection.answer(b"ok")
        await connection.writer.drain()
        connection.writer.close()

    server = await upstream(behave)
    for _ in range(3):
        listener = listeners()
        transport.post(server.url, {}, b"x", listener)
        assert await listener.over is None
        await asyncio.sleep(0.02)
    assert len(server.connections) == 3


@pytest.mark.promise(22)
async def test_a_request_that_was_sent_is_never_sent_again(upstream, transport, listeners):
    async def behave(connection):
        await connection.request()
        if connection.number == 0:
            connection.answer(b"ok")
            await connection.request()
        connection.reset()

    server = await upstream(behave)
    first, second = listeners(), listeners()
    transport.post(server.url, {}, b"x", first)
    assert await first.over is None
    transport.post(server.url, {}, b"x", second)
    assert isinstance(await second.over, Broken)
    assert sum(len(connection.requests) for connection in server.connections) == 2


@pytest.mark.parametrize("when", ["before", "head", "half"])
async def test_a_reset_is_told(upstream, transport, listener, when):
    async def behave(connection):
        await connection.request()
        if when != "before":
            connection.begin_stream()
        if when == "half":
            connection.send(b"20\r\nhalf a chu")
        await connection.writer.drain()
        await asyncio.sleep(0.02)
        connection.reset()

    server = await upstream(behave)
    transport.post(server.url, {}, b"", listener)
    assert isinstance(await listener.over, Broken)
    assert listener.body == (b"half a chu" if when == "half" else b"")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly half",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
)
async def test_an_answer_that_ends_too_early_is_broken(upstream, transport, listener, answer):
    async def behave(connection):
        await connection.request()
        connection.send(answer)

    server = await upstream(behave)
    transport.post(server.url, {}, b"", listener)
    assert isinstance(await listener.over, Broken)


async def test_an_answer_without_length_ends_with_its_connection(upstream, transport, listener):
    async def behave(connection):
        await connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nall of it")

    server = await upstream(behave)
    transport.post(server.url, {}, b"", listener)
    assert await listener.over is None
    assert listener.body == b"all of it"


async def test_early_hints_are_passed_over(upstream, transport, listener):
    async def behave(connection):
        await connection.request()
        connection.send(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")
        connection.answer(b"ok", status="201 Created")

    server = await upstream(behave)
    transport.post(server.url, {}, b"", listener)
    assert await listener.over is None
    assert listener.status == 201


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n"])
async def test_silence_is_timed_to_the_first_byte_and_between_bytes(upstream, transport, listener, said):
    async def behave(connection):
        await connection.request()
        connection.send(said)
        await connection.gone()
        closed.set()

    closed = asyncio.Event()
    server = await upstream(behave)
    transport.post(server.url, {}, b"", listener, QUICK)
    assert isinstance(await listener.over, Silent)
    await asyncio.wait_for(closed.wait(), 1)


async def test_a_slow_answer_that_goes_on_is_not_timed_out(upstream, transport, listener):
    async def behave(connection):
        await connection.request()
        connection.begin_stream()
        for _ in range(8):
            connection.chunk(b".")
            await asyncio.sleep(0.05)
        connection.chunk(b"")

    server = await upstream(behave)
    transport.post(server.url, {}, b"", listener, QUICK)
    assert await listener.over is None
    assert listener.body == b"." * 8


async def test_a_host_that_refuses_is_unreachable(upstream, transport, listener):
    async def behave(connection):
        await connection.request()

    server = await upstream(behave)
    await server.stop()
    transport.post(server.url, {}, b"", listener)
    assert isinstance(await listener.over, Unreachable)


async def test_a_name_that_does_not_resolve_is_unreachable(transport, listener):
    transport.post("http://no-such-host.invalid/v1", {}, b"", listener)
    error = await listener.over
    assert isinstance(error, Unreachable)
    assert "no-such-host" not in error.message


async def test_tls_is_spoken_with_who_verifies(upstream, trusting, listener, tls):
    async def behave(connection):
        await connection.request()
        connection.answer(b"private")

    server = await upstream(behave, tls)
    trusting.post(server.url, {}, b"", listener)
    assert await listener.over is None
    assert listener.body == b"private"


@pytest.mark.parametrize("doubt", ["unknown authority", "other name"])
async def test_tls_that_does_not_verify_is_unreachable(upstream, transport, trusting, listener, tls, doubt):
    async def behave(connection):
        await connection.request()

    server = await upstream(behave, tls)
    if doubt == "other name":
        trusting.post(f"https://127.0.0.2:{server.port}", {"authorization": "Bearer k"}, b"", listener)
    else:
        transport.post(server.url, {"authorization": "Bearer k"}, b"", listener)
    assert isinstance(await listener.over, Unreachable)
    assert not any(connection.requests for connection in server.connections)


@pytest.mark.promise(10)
async def test_an_abort_closes_tls_at_once_though_the_other_side_talks_on(upstream, trusting, listener, tls):
    closed = asyncio.Event()

    async def behave(connection):
        await connection.request()
        connection.begin_stream()
        connection.writer.transport.pause_reading()  # a goodbye of TLS is not heard, only the end of the connection
        while not connection.is_cut():
            connection.chunk(b"one more")
            await asyncio.sleep(0.01)
        closed.set()

    server = await upstream(behave, tls)
    exchange = trusting.post(server.url, {}, b"", listener)
    await listener.first.wait()
    exchange.abort()
    await asyncio.wait_for(closed.wait(), 1)


@pytest.mark.promise(10)
@pytest.mark.parametrize("when", ["connected", "head", "streaming", "paused"])
async def test_an_abort_closes_the_connection_at_once(upstream, transport, listener, when):
    asked, closed = asyncio.Event(), asyncio.Event()

    async def behave(connection):
        await connection.request()
        if when != "connected":
            connection.begin_stream()
        if when in {"streaming", "paused"}:
            connection.chunk(b"one")
        asked.set()
        await connection.gone()
        closed.set()

    server = await upstream(behave)
    exchange = transport.post(server.url, {}, b"", listener)
    await asked.wait()
    if when in {"streaming", "paused"}:
        await listener.first.wait()
    if when == "paused":
        exchange.pause()
    exchange.abort()
    exchange.abort()
    await asyncio.wait_for(closed.wait(), 1)
    assert not listener.over.done()


async def test_an_abort_before_the_connection_asks_nothing(upstream, transport, listener):
    async def behave(connection):
        await connection.request()

    server = await upstream(behave)
    transport.post(server.url, {}, b"", listener).abort()
    await asyncio.sleep(0.05)
    assert [connection.requests for connection in server.connections] in ([], [[]])
    assert listener.status is None


async def test_an_abort_from_within_data_is_the_last_that_is_heard(upstream, transport, listener):
    async def behave(connection):
        await connection.request()
        connection.begin_stream()
        for _ in range(50):
            connection.chunk(b"x" * 1000)
            await asyncio.sleep(0)
        connection.chunk(b"")

    server = await upstream(behave)
    exchange = transport.post(server.url, {}, b"", listener)
    listener.on_data = lambda _: exchange.abort()
    await listener.first.wait()
    await asyncio.sleep(0.05)
    assert listener.reads == 1
    assert not listener.over.done()


async def test_a_paused_exchange_makes_the_other_side_wait(upstream, transport, listener):
    total, sent = 32 * 1024 * 1024, 0

    async def behave(connection):
        nonlocal sent
        await connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % total)
        while sent < total:
            connection.send(b"x" * 65536)
            await connection.writer.drain()
            sent += 65536

    server = await upstream(behave)
    exchange = transport.post(server.url, {}, b"", listener)
    listener.on_data = lambda _: exchange.pause()
    await listener.first.wait()
    before = -1
    while before != sent:
        before = sent
        await asyncio.sleep(0.1)
    assert sent < total / 2
    listener.on_data = None
    exchange.resume()
    assert await listener.over is None
    assert len(listener.body) == total


async def test_compressed_answers_are_read(upstream, transport, listener):
    async def behave(connection):
        await connection.request()
        connection.answer(gzip.compress(b"hello " * 100), content_encoding="gzip")

    server = await upstream(behave)
    transport.post(server.url, {}, b"", listener)
    assert await listener.over is None
    assert listener.body == b"hello " * 100


@pytest.mark.promise(38)
async def test_a_bomb_is_refused_before_it_fills_the_memory(upstream, transport, listener):
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(256)) + packer.flush()

    async def behave(connection):
        await connection.request()
        connection.answer(bomb, content_encoding="gzip")

    server = await upstream(behave)
    transport.post(server.url, {}, b"", listener)
    assert isinstance(await listener.over, Oversized)
    assert len(listener.body) < 64 << 20


async def test_what_cannot_be_unpacked_is_malformed(upstream, transport, listener):
    async def behave(connection):
        await connection.request()
        connection.answer(b"this is not gzip", content_encoding="gzip")

    server = await upstream(behave)
    transport.post(server.url, {}, b"", listener)
    assert isinstance(await listener.over, Malformed)


@pytest.mark.promise(38)
async def test_an_answer_over_its_cap_is_refused(upstream, transport, listener):
    async def behave(connection):
        await connection.request()
        connection.begin_stream()
        for _ in range(40):
            connection.chunk(b"x" * 65536)
            await connection.writer.drain()

    server = await upstream(behave)
    transport.post(server.url, {}, b"", listener, QUICK)
    assert isinstance(await listener.over, Oversized)
    assert len(listener.body) <= QUICK.max_bytes


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nx-huge: " + b"a" * 300_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: 1\r\n" % n for n in range(2000)) + b"\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 5\r\n\r\nabcde",
    ],
)
async def test_what_is_not_http_is_refused(upstream, transport, listener, answer):
    async def behave(connection):
        await connection.request()
        connection.send(answer)

    server = await upstream(behave)
    transport.post(server.url, {}, b"", listener)
    assert isinstance(await listener.over, Malformed | Broken)


@pytest.mark.promise(37)
async def test_redirects_are_not_followed_and_cookies_not_kept(upstream, transport, listeners):
    async def behave(connection):
        while True:
            await connection.request()
            connection.answer(b"", status="307 Temporary Redirect", location="http://127.0.0.1:1/", set_cookie="a=b")

    server = await upstream(behave)
    for _ in range(2):
        listener = listeners()
        transport.post(server.url, {}, b"secret", listener)
        assert await listener.over is None
        assert listener.status == 307
    assert all(b"cookie" not in head.lower() for one in server.connections for head, _ in one.requests)


async def test_the_environment_names_no_proxy(upstream, transport, listener, monkeypatch):
    async def behave(connection):
        await connection.request()
        connection.answer(b"direct")

    server = await upstream(behave)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    transport.post(server.url, {}, b"", listener)
    assert await listener.over is None
    assert listener.body == b"direct"


@pytest.mark.promise(40)
@pytest.mark.parametrize(
    "headers",
    [{"x-a": "1\r\nx-b: 2"}, {"x-a": "1\nx-b: 2"}, {"x-a": "\x00"}, {"x-a\r\nx-b": "1"}, {"x a": "1"}, {"x-a": "ü"}],
)
async def test_no_header_can_begin_another(upstream, transport, listener, headers):
    async def behave(connection):
        await connection.request()
        connection.answer(b"")

    server = await upstream(behave)
    transport.post(server.url, headers, b"", listener)
    error = await listener.over
    assert isinstance(error, Unsendable)
    assert all(value not in error.message for value in headers.values() if len(value) > 1)
    assert not any(connection.requests for connection in server.connections)


@pytest.mark.parametrize("url", ["", "localhost", "ftp://x/", "http://", "http://[::1", "file:///etc/passwd"])
async def test_an_address_that_is_none_is_unsendable(transport, listener, url):
    transport.post(url, {}, b"", listener)
    assert isinstance(await listener.over, Unsendable)


async def test_something_small_is_asked_for(upstream, transport):
    async def behave(connection):
        await connection.request()
        connection.answer(b'{"data":[]}', content_type="application/json")

    server = await upstream(behave)
    answer = await transport.get(f"{server.url}/models", {"authorization": "Bearer k"})
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b'{"data":[]}', "application/json")
    assert server.connections[0].requests[0][0].startswith(b"GET /models HTTP/1.1\r\n")


async def test_something_small_that_is_large_or_slow_is_refused(upstream, transport):
    async def behave(connection):
        head, _ = await connection.request()
        if b"/large" in head:
            connection.answer(b"x" * 2_000_000)
        await connection.gone()

    server = await upstream(behave)
    with pytest.raises(Oversized):
        await transport.get(f"{server.url}/large", {}, QUICK)
    with pytest.raises(Silent):
        await transport.get(f"{server.url}/slow", {}, QUICK)


@pytest.mark.promise(9)
async def test_nothing_is_left_after_many_aborts(upstream, transport, listeners):
    async def behave(connection):
        await connection.request()
        connection.begin_stream()
        connection.chunk(b"one")
        await connection.gone()
        gone.append(connection.number)
        if len(gone) == 100:
            everyone.set()

    gone: list[int] = []
    everyone = asyncio.Event()
    server = await upstream(behave)
    before = len(asyncio.all_tasks())
    for _ in range(100):
        listener = listeners()
        exchange = transport.post(server.url, {}, b"", listener)
        await listener.first.wait()
        exchange.abort()
    await asyncio.wait_for(everyone.wait(), 5)
    await asyncio.sleep(0.05)
    assert len(asyncio.all_tasks()) <= before


@pytest.mark.promise(4)
async def test_a_listener_with_a_defect_is_told_the_end_and_the_connection_is_closed(upstream, transport, listener):
    async def behave(connection):
        await connection.request()
        connection.begin_stream()
        connection.chunk(b"one")
        await connection.gone()
        gone.set()

    def defect(_: bytes) -> None:
        raise KeyError("a defect")

    gone = asyncio.Event()
    server = await upstream(behave)
    listener.on_data = defect
    transport.post(server.url, {}, b"", listener)
    assert isinstance(await listener.over, Broken)
    await asyncio.wait_for(gone.wait(), 1)


async def test_closing_ends_what_runs(upstream, transport, listener):
    async def behave(connection):
        await connection.request()
        connection.begin_stream()
        connection.chunk(b"one")
        await connection.gone()
        gone.set()

    gone = asyncio.Event()
    server = await upstream(behave)
    transport.post(server.url, {}, b"", listener)
    await listener.first.wait()
    await transport.close()
    await asyncio.wait_for(gone.wait(), 1)


def test_errors_of_the_port_say_what_they_are():
    for kind in (Unreachable, Unsendable, Silent, Broken, Malformed, Oversized):
        error = kind("sentence")
        assert isinstance(error, TransportError)
        assert error.code in {"provider_unavailable", "upstream_error", "upstream_timeout", "upstream_invalid"}
