"""HTTP/1.1 as our server frames it: chunks, keep-alive, pipelining, heads that are none."""

import asyncio
import time

import pytest

from tertulia.asgi.exchange import json_answer
from tests.asgi.live import Live, Stage, read_chunk, read_chunks, read_reply, request, route, served, until

STAGE = Stage()


async def echo(exchange):
    body = await exchange.body()
    return json_answer({"size": len(body), "start": body[:16].decode("latin-1"), "path": exchange.path})


async def again(exchange):
    first = await exchange.body()
    return json_answer(first == await exchange.body())


async def pieces(exchange):
    return json_answer([len(piece) async for piece in exchange.pieces()])


async def unread(_):
    return json_answer("did not look")


async def slow(exchange):
    await asyncio.sleep(0.05)
    return json_answer(exchange.path)


async def five(exchange):
    push = exchange.stream()
    for n in range(5):
        push.write(b"data: %d\n\n" % n)
        push.write(b"")
        await asyncio.sleep(0)
    push.close()
    push.close()
    assert push.write(b"late") is False


async def broken(exchange):
    exchange.stream().write(b"data: 1\n\n")
    raise ValueError("in the middle")


async def twice(exchange):
    exchange.stream().close()
    return json_answer("and again")


FIVE = b"".join(b"data: %d\n\n" % n for n in range(5))


@pytest.fixture(scope="module")
def live():
    routes = (
        route("/echo", echo, "POST"),
        route("/echo", echo),
        route("/again", again, "POST"),
        route("/pieces", pieces, "POST"),
        route("/unread", unread, "POST"),
        route("/slow/{id}", slow),
        route("/five", five),
        route("/five", five, "POST"),
        route("/broken", broken),
        route("/twice", twice),
        route("/s", STAGE.handler),
    )
    with served(*routes) as made:
        yield made


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def test_a_stream_is_framed_as_chunks_and_the_connection_goes_on(live: Live):
    first, second, third = live.ask(request("/five") + request("/echo") + request("/five"), answers=3)
    assert first.headers["transfer-encoding"] == "chunked"
    assert first.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert first.headers["cache-control"] == "no-store"
    assert "connection" not in first.headers
    assert (first.body, first.whole) == (FIVE, True)
    assert second.json["path"] == "/echo"
    assert third.body == FIVE


def test_a_request_after_a_stream_on_the_same_connection(live: Live):
    with live.connect() as connection:
        reader = connection.makefile("rb")
        for _ in range(3):
            connection.sendall(request("/five"))
            assert read_reply(reader).body == FIVE
            connection.sendall(request("/echo", method="POST", body=b"x" * 10))
            assert read_reply(reader).json["size"] == 10


def test_http_1_0_gets_no_chunks_and_its_end_is_the_connections(live: Live):
    answer = live.ask(b"GET /five HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")[0]
    assert "transfer-encoding" not in answer.headers
    assert answer.headers["connection"] == "close"
    assert answer.body == FIVE


def test_head_of_a_stream_is_its_head_and_nothing_follows(live: Live):
    head, after = live.ask(request("/five", method="HEAD"))[0], live.get("/echo")
    assert (head.status, head.body, head.headers["transfer-encoding"]) == (200, b"", "chunked")
    assert after.status == 200
    with live.connect() as connection:
        connection.sendall(request("/five", method="HEAD") + request("/echo"))
        reader = connection.makefile("rb")
        assert read_reply(reader, head=True).status == 200
        assert read_reply(reader).json["path"] == "/echo"


def test_bytes_go_out_as_they_are_written(live: Live):
    with live.connect() as connection:
        reader = STAGE.open(live, connection)
        for n in range(3):
            live.call(lambda n=n: STAGE.push.write(b"data: %d\n\n" % n))
            assert read_chunk(reader) == b"data: %d\n\n" % n
        live.call(STAGE.push.close)
        assert read_chunk(reader) == b""


def test_writing_says_whether_there_is_room(live: Live):
    with live.connect() as connection:
        said: list[bool] = []
        reader = STAGE.open(live, connection)
        live.call(lambda: said.append(STAGE.push.write(b"x")))
        assert read_chunk(reader) == b"x"
        until(lambda: said == [True])
        live.call(STAGE.push.close)
        assert read_chunk(reader) == b""


def test_an_answer_that_breaks_off_is_cut(live: Live):
    answer = live.get("/broken")
    assert (answer.status, answer.body, answer.whole) == (200, b"data: 1\n\n", False)
    until(lambda: live.recorder.seen[-1] == ("GET", "/broken", 500))


def test_two_answers_are_a_defect_and_the_first_stands(live: Live):
    answer = live.get("/twice")
    assert (answer.status, answer.body, answer.whole) == (200, b"", True)
    until(lambda: live.recorder.errors and live.recorder.errors[-1]["path"] == "/twice")


def test_pipelined_requests_are_answered_in_order(live: Live):
    answers = live.ask(b"".join(request(f"/slow/{n}") for n in range(5)), answers=5)
    assert [answer.json for answer in answers] == [f"/slow/{n}" for n in range(5)]


def test_pipelined_requests_in_any_pieces(live: Live):
    whole = (
        request("/slow/a") + request("/echo", method="POST", body=b"y" * 300) + request("/five") + request("/slow/b")
    )
    for size in (1, 7, 50, 333):
        with live.connect() as connection:
            connection.setsockopt(6, 1, 1)
            for at in range(0, len(whole), size):
                connection.sendall(whole[at : at + size])
                if size > 1:
                    time.sleep(0.001)
            reader = connection.makefile("rb")
            assert read_reply(reader).json == "/slow/a"
            assert read_reply(reader).json["size"] == 300
            assert read_reply(reader).body == FIVE
            assert read_reply(reader).json == "/slow/b"


def test_requests_that_come_during_a_stream_wait_for_its_end(live: Live):
    with live.connect() as connection:
        reader = STAGE.open(live, connection)
        connection.sendall(request("/echo", method="POST", body=b"z" * 200_000) + request("/slow/1"))
        live.call(lambda: STAGE.push.write(b"one"))
        assert read_chunk(reader) == b"one"
        live.call(STAGE.push.close)
        assert read_chunk(reader) == b""
        assert read_reply(reader).json["size"] == 200_000
        assert read_reply(reader).json == "/slow/1"


def test_chunked_bodies(live: Live):
    head = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    for parts in ((b"hello ", b"world"), (b"x" * 70_000, b"y"), tuple(b"abc" for _ in range(500)), ()):
        answer = live.ask(head + chunked(*parts) + request("/echo"), answers=2)
        assert answer[0].json["size"] == sum(map(len, parts))
        assert answer[1].json["size"] == 0


def test_trailers_are_no_headers(live: Live):
    head = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"3\r\nabc\r\n0\r\nHost: evil.example\r\nAuthorization: Bearer ada-key\r\n\r\n"
    answer = live.ask(head + body + request("/echo"), answers=2)
    assert answer[0].json["size"] == 3
    assert answer[1].status == 200


def test_a_body_is_the_same_however_often_it_is_asked_for(live: Live):
    assert live.get("/again", method="POST", body=b"abc").json is True
    assert live.get("/again", method="POST", body=b"x" * 500_000).json is True


def test_a_large_body_can_be_read_in_pieces_and_the_client_waits_meanwhile(live: Live):
    sizes = live.get("/pieces", method="POST", body=b"x" * 3_000_000).json
    assert sum(sizes) == 3_000_000
    assert max(sizes) < 1_000_000


def test_continue_is_said_when_the_body_is_wanted(live: Live):
    head = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    with live.connect() as connection:
        connection.sendall(head)
        reader = connection.makefile("rb")
        assert reader.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert reader.readline() == b"\r\n"
        connection.sendall(b"hello" + request("/echo"))
        assert read_reply(reader).json["start"] == "hello"
        assert read_reply(reader).status == 200


def test_continue_is_not_said_when_it_is_not_wanted(live: Live):
    head = b"POST /unread HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    with live.connect() as connection:
        connection.sendall(head)
        reader = connection.makefile("rb")
        answer = read_reply(reader)
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert reader.read() == b""


def test_a_body_that_nobody_wanted_does_not_become_the_next_request(live: Live):
    body = b"GET /evil HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3
    answers = live.ask(request("/unread", method="POST", body=body) + request("/echo"), answers=2)
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[1].json["path"] == "/echo"


def test_close_is_done_as_asked(live: Live):
    with live.connect() as connection:
        connection.sendall(request("/five", "Connection: close") + request("/echo"))
        reader = connection.makefile("rb")
        answer = read_reply(reader)
        assert (answer.headers["connection"], answer.body) == ("close", FIVE)
        assert reader.read() == b""


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),  # a TLS hello
        b"hello there\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /echo HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /echo HTTP/2.0\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET /echo HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n",
        b"GET /echo HTTP/1.1\r\nHost: localhost\r\n folded: yes\r\n\r\n",
        b"GET /echo HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET /echo HTTP/1.1\r\nHost: local\x00host\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    ],
)
@pytest.mark.promise(39)
def test_what_is_no_request_is_refused_and_the_connection_closed(live: Live, garbage: bytes):
    with live.connect() as connection:
        connection.sendall(garbage)
        reader = connection.makefile("rb")
        answer = read_reply(reader)
        assert (answer.status, answer.code) == (400, "malformed_request")
        assert answer.headers["connection"] == "close"
        assert answer.headers["x-request-id"] == answer.json["requestId"]
        assert reader.read() == b""


def test_garbage_behind_a_request_is_refused_in_its_turn(live: Live):
    for garbage in (b"nonsense\r\n\r\n", b"\x00" * 1000):
        with live.connect() as connection:
            connection.sendall(request("/slow/1") + request("/five") + garbage)
            reader = connection.makefile("rb")
            assert read_reply(reader).json == "/slow/1"
            assert read_reply(reader).body == FIVE
            assert read_reply(reader).status == 400
            assert reader.read() == b""


def test_garbage_during_a_stream_does_not_get_into_it(live: Live):
    with live.connect() as connection:
        reader = STAGE.open(live, connection)
        connection.sendall(b"nonsense\r\n\r\n")
        time.sleep(0.05)
        live.call(lambda: STAGE.push.write(b"one"))
        assert read_chunk(reader) == b"one"
        live.call(STAGE.push.close)
        assert read_chunk(reader) == b""
        assert read_reply(reader).status == 400


def test_a_body_whose_chunks_are_broken_is_refused(live: Live):
    head = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with live.connect() as connection:
        connection.sendall(head + b"3\r\nabc\r\nzz\r\n")
        reader = connection.makefile("rb")
        answer = read_reply(reader)
        assert (answer.status, answer.code) == (400, "malformed_request")
        assert answer.headers["connection"] == "close"
        assert reader.read() == b""


def test_an_upgrade_that_is_not_spoken_is_passed_over_with_its_body_whole(live: Live):
    body = b"q" * 100_000
    upgrade = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
    answers = live.ask(request("/echo", *upgrade, method="POST", body=body) + request("/echo"), answers=2)
    assert answers[0].json["size"] == len(body)
    assert answers[1].json["size"] == 0
    assert live.get("/echo", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: a").status == 200


def test_an_upgrade_still_closes_where_it_is_asked_to(live: Live):
    with live.connect() as connection:
        connection.sendall(request("/echo", "Connection: Upgrade, close", "Upgrade: h2c"))
        reader = connection.makefile("rb")
        assert read_reply(reader).status == 200
        assert reader.read() == b""


def test_line_ends_before_a_request_are_passed_over(live: Live):
    assert live.ask(b"\r\n\r\n" + request("/echo") + b"\r\n" + request("/echo"), answers=2)[1].status == 200


def test_what_is_read_whole_was_sent_whole(live: Live):
    with live.connect() as connection:
        reader = STAGE.open(live, connection)
        block = bytes(range(256)) * 400
        live.call(lambda: [STAGE.push.write(block) for _ in range(30)] and STAGE.push.close())
        assert read_chunks(reader) == (block * 30, True)
