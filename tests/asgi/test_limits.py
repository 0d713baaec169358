"""What a request may be: how large, how slow; and that a refusal reaches who is refused."""

import contextlib
import socket
import time

import psutil
import pytest

from tertulia.asgi.exchange import json_answer
from tertulia.asgi.settings import RequestSettings, ServerSettings
from tests.asgi.live import Live, Stage, read_reply, readable, request, route, served, until

STAGE = Stage()


async def echo(exchange):
    return json_answer(len(await exchange.body()))


async def ignore(_):
    return json_answer("did not look")


async def large(_):
    return json_answer("x" * 24_000_000)


ROUTES = (
    route("/v1/echo", echo, "POST", form="openai"),
    route("/echo", echo, "POST"),
    route("/echo", echo),
    route("/echo/{rest:path}", echo),
    route("/ignore", ignore, "POST"),
    route("/large", large),
    route("/s", STAGE.handler),
)


@pytest.fixture(scope="module")
def live():
    with served(*ROUTES, requests=RequestSettings(max_body_bytes=1_000_000)) as made:
        yield made


@pytest.fixture
def hasty():
    with served(*ROUTES, requests=RequestSettings(body_timeout_s=0.3)) as made:
        yield made


def is_cut(connection: socket.socket, block: bytes) -> bool:
    """Send a block again and again: is there an end to it before the client's?"""
    try:
        for _ in range(2000):
            connection.sendall(block)
    except OSError:
        return True
    return False


def test_the_length_of_a_body_is_judged_before_it_comes(live: Live):
    with live.connect() as connection:
        connection.sendall(b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000001\r\n\r\n")
        reader = connection.makefile("rb")
        answer = read_reply(reader)
        assert (answer.status, answer.code) == (413, "body_too_large")
        connection.sendall(b"x" * 1_000_001 + request("/echo"))  # and the connection is still good
        assert read_reply(reader).status == 200


def test_a_body_of_unknown_length_is_judged_as_it_comes(live: Live):
    with live.connect() as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(11):
            connection.sendall(b"%x\r\n%b\r\n" % (100_000, b"x" * 100_000))
        reader = connection.makefile("rb")
        assert read_reply(reader).code == "body_too_large"
        connection.sendall(b"0\r\n\r\n" + request("/echo"))
        assert read_reply(reader).status == 200


def test_a_body_of_just_the_size_is_taken(live: Live):
    assert live.get("/echo", method="POST", body=b"x" * 1_000_000).json == 1_000_000
    assert live.get("/echo", method="POST", body=b"x" * 1_000_001).status == 413


@pytest.mark.parametrize("close", [(), ("Connection: close",)])
def test_who_sends_far_too_much_gets_to_read_the_answer(live: Live, close: tuple[str, ...]):
    with live.connect() as connection:
        connection.sendall(request("/echo", *close, method="POST", body=b"x" * 20_000_000))
        reader = connection.makefile("rb")
        assert read_reply(reader).status == 413


def test_nobody_is_read_without_end(live: Live):
    before = psutil.Process().memory_info().rss
    with live.connect() as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\n")
        sent, block = 0, b"x" * 1_000_000
        with contextlib.suppress(OSError):
            while sent < 300_000_000:
                connection.sendall(block)
                sent += len(block)
    assert 60_000_000 < sent < 120_000_000
    assert psutil.Process().memory_info().rss - before < 64_000_000


def test_a_body_that_nobody_asks_for_makes_the_client_wait(live: Live):
    with live.connect() as connection:
        reader = STAGE.open(live, connection, "/s", "Content-Length: 50000000")
        connection.settimeout(0.5)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 50_000_000:
                sent += connection.send(b"x" * 1_000_000)
        assert sent < 30_000_000
        live.call(STAGE.push.close)
        connection.settimeout(10)
        connection.sendall(b"x" * (50_000_000 - sent))
        assert reader.readline() == b"0\r\n"


def test_requests_piled_up_behind_a_stream_make_the_client_wait(live: Live):
    block = request("/echo") * 20_000
    with live.connect() as connection:
        STAGE.open(live, connection).close()
        connection.settimeout(0.5)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 60_000_000:
                sent += connection.send(block)
        assert sent < 30_000_000
        assert not any(
            getattr(each, "_queue", ()) for each in live.server.server_state.connections
        )  # nor is any of it taken apart


@pytest.mark.parametrize(
    ("length", "status"), [(16 * 1024, 200), (16 * 1024 + 1, 414), (100_000, 414), (2_000_000, 414)]
)
def test_the_url_is_bounded(live: Live, length: int, status: int):
    path = "/echo/" + "a" * (length - len("/echo/"))
    answer = live.ask(b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())[0]
    assert answer.status == status
    if status == 414:
        assert answer.code == "uri_too_long"
        assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([b"a: " + b"x" * 60_000], 200),
        ([b"a: " + b"x" * 70_000], 431),
        ([b"a: " + b"x" * 3_000_000], 431),
        ([b"a%d: %b" % (n, b"x" * 90) for n in range(600)], 200),
        ([b"a%d: %b" % (n, b"x" * 90) for n in range(700)], 431),
        ([b"x" * 100_000 + b": a"], 431),
    ],
)
def test_the_header_block_is_bounded(live: Live, headers: list[bytes], status: int):
    head = b"\r\n".join([b"GET /echo HTTP/1.1", b"Host: localhost", *headers]) + b"\r\n\r\n"
    answer = live.ask(head)[0]
    assert answer.status == status
    if status == 431:
        assert answer.code == "headers_too_large"


@pytest.mark.parametrize("endless", [b"a: xxxxxxxxxxxxxxx\r\n", b"xxxxxxxxxxxxxxxx"])
def test_a_head_without_end_is_refused(live: Live, endless: bytes):
    with live.connect() as connection:
        connection.sendall(b"GET /echo HTTP/1.1\r\nHost: localhost\r\n")
        assert is_cut(connection, endless * 5000)
        assert live.get("/echo").status == 200


def test_chunk_extensions_without_end_are_refused(live: Live):
    with live.connect() as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3;")
        assert is_cut(connection, b"x" * 100_000)
        assert live.get("/echo").status == 200


def test_trailers_without_end_are_refused(live: Live):
    with live.connect() as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
        assert is_cut(connection, b"a: xxxxxxxxxx\r\n" * 5000)
        assert live.get("/echo").status == 200


def test_a_refused_head_has_the_form_of_its_face(live: Live):
    openai = live.get("/v1/" + "a" * 20_000).json
    assert openai["error"]["type"] == "invalid_request_error"
    assert live.get("/v1/messages/" + "a" * 20_000).json["type"] == "error"


def test_a_head_that_stalls(hasty: Live):
    with hasty.connect() as connection:
        connection.sendall(b"GET /echo HTTP/1.1\r\nHost: loc")
        reader = connection.makefile("rb")
        answer = read_reply(reader)
        assert (answer.status, answer.code) == (408, "request_timeout")
        assert reader.read() == b""


def test_a_head_that_trickles_in_does_not_win_time(hasty: Live):
    began = time.monotonic()
    with hasty.connect() as connection:
        connection.sendall(b"GET /echo HTTP/1.1\r\nHost: localhost\r\na: ")
        while not readable(connection):
            assert time.monotonic() - began < 5
            connection.sendall(b"x")
            time.sleep(0.02)
        assert read_reply(connection.makefile("rb")).status == 408


def test_a_second_head_that_stalls(hasty: Live):
    with hasty.connect() as connection:
        connection.sendall(request("/echo") + b"GET /ec")
        reader = connection.makefile("rb")
        assert read_reply(reader).status == 200
        assert read_reply(reader).status == 408


def test_a_body_that_stalls(hasty: Live):
    with hasty.connect() as connection:
        connection.sendall(b"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc")
        reader = connection.makefile("rb")
        answer = read_reply(reader)
        assert (answer.status, answer.code) == (408, "request_timeout")


def test_a_slow_body_that_does_not_stall_is_waited_for(hasty: Live):
    with hasty.connect() as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\n")
        for _ in range(6):
            time.sleep(0.1)
            connection.sendall(b"x")
        assert read_reply(connection.makefile("rb")).json == 6


def test_a_connection_that_says_nothing_is_closed(hasty: Live):
    with hasty.connect() as connection:
        assert connection.recv(1) == b""


def test_a_connection_that_only_listens_keeps_its_stream(hasty: Live):
    with hasty.connect() as connection:
        reader = STAGE.open(hasty, connection)
        time.sleep(1.2)
        hasty.call(STAGE.push.close)
        assert reader.readline() == b"0\r\n"


def test_a_client_that_swallows_nothing_is_let_go_and_a_slow_one_is_not(monkeypatch):
    monkeypatch.setattr("tertulia.asgi.server.connection.LINGER_S", 0.6)
    with served(*ROUTES, server=ServerSettings(port=0, graceful_s=1)) as live:
        with live.connect(receive_buffer=4096) as idle, live.connect() as slow:
            for each in (idle, slow):
                each.sendall(request("/large", "Connection: close"))
            began, size = time.monotonic(), 0
            while block := slow.recv(100_000):
                size += len(block)
                time.sleep(0.02)
            assert size > 24_000_000
            assert time.monotonic() - began > 2
            got = 0
            with contextlib.suppress(ConnectionResetError):
                while block := idle.recv(1_000_000):
                    got += len(block)
            assert got < 24_000_000
        until(lambda: not live.server.server_state.connections)
