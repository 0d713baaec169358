"""Clients that leave, and clients that do not read."""

import asyncio
import contextlib
import gc
import socket
import struct
import threading
import time

import psutil
import pytest

from tertulia.asgi.exchange import json_answer
from tertulia.asgi.server.cycle import Cycle
from tests.asgi.live import Live, Stage, read_chunk, read_chunks, read_reply, request, route, served, until

STAGE = Stage()


class Waiting:
    """A blocking answer that waits for something, and is told when nobody waits for it any more."""

    def __init__(self) -> None:
        self.begun = 0
        self.gone = 0
        self.go: asyncio.Event | None = None

    async def handler(self, exchange):
        await exchange.body()
        self.go = go = asyncio.Event()

        def left() -> None:
            self.gone += 1
            go.set()

        exchange.on_gone(left)
        self.begun += 1
        await go.wait()
        return json_answer("done")

    def answer(self) -> None:
        assert self.go is not None
        self.go.set()


WAITING = Waiting()


async def plain(_):
    await asyncio.sleep(0.1)
    return json_answer("plain")


async def body(exchange):
    return json_answer(len(await exchange.body()))


@pytest.fixture(scope="module")
def live():
    routes = (
        route("/s", STAGE.handler),
        route("/wait", WAITING.handler),
        route("/wait", WAITING.handler, "POST"),
        route("/plain", plain),
        route("/body", body, "POST"),
    )
    with served(*routes) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_told_yet():
    STAGE.gone.clear()
    STAGE.rooms = 0


def reset(connection: socket.socket) -> None:
    """Leave with a RST, as a crashed process' kernel does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


WAYS = {"close": socket.socket.close, "reset": reset}


@pytest.mark.promise(9)
@pytest.mark.parametrize("way", WAYS)
def test_a_client_that_leaves_a_silent_stream_is_noticed_at_once(live: Live, way: str):
    with live.connect() as connection:
        reader = STAGE.open(live, connection)
        reader.close()
        left = time.monotonic()
        WAYS[way](connection)
        until(lambda: STAGE.gone)
        assert STAGE.gone[0] - left < 0.5
    until(lambda: live.recorder.seen[-1] == ("GET", "/s", 499))
    said: list[bool] = []
    live.call(lambda: (said.append(STAGE.push.write(b"late")), STAGE.push.close()))
    until(lambda: said)
    assert said == [False]
    assert len(STAGE.gone) == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_client_that_leaves_in_the_middle(live: Live, way: str):
    with live.connect() as connection:
        reader = STAGE.open(live, connection)
        for n in range(3):
            live.call(lambda: STAGE.push.write(b"data: x\n\n"))
            assert read_chunk(reader) == b"data: x\n\n", n
        reader.close()
        WAYS[way](connection)
        until(lambda: STAGE.gone)


def test_a_client_that_leaves_while_requests_of_its_own_wait_behind_the_stream(live: Live):
    with live.connect() as connection:
        reader = STAGE.open(live, connection)
        connection.sendall(request("/plain") * 20)
        time.sleep(0.05)
        reader.close()
    until(lambda: STAGE.gone)


def test_a_client_that_closes_its_side_has_left_a_stream(live: Live):
    with live.connect() as connection:
        reader = STAGE.open(live, connection)
        connection.shutdown(socket.SHUT_WR)
        until(lambda: STAGE.gone)
        assert read_chunks(reader) == (b"", False)


def test_a_client_that_had_closed_its_side_already(live: Live):
    with live.connect() as connection:
        connection.sendall(request("/s"))
        connection.shutdown(socket.SHUT_WR)
        until(lambda: STAGE.gone)


def test_a_plain_answer_reaches_a_client_that_closed_its_side(live: Live):
    with live.connect() as connection:
        connection.sendall(request("/plain") + request("/plain"))
        connection.shutdown(socket.SHUT_WR)
        reader = connection.makefile("rb")
        assert read_reply(reader).json == "plain"
    until(lambda: live.recorder.seen[-1][1] == "/plain")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_client_that_leaves_before_the_first_byte(live: Live, way: str, method: str):
    begun, gone = WAITING.begun, WAITING.gone
    with live.connect() as connection:
        connection.sendall(request("/wait", method=method, body=b"abc" if method == "POST" else b""))
        until(lambda: WAITING.begun > begun)
        WAYS[way](connection)
        until(lambda: WAITING.gone > gone)
    until(lambda: live.recorder.seen[-1] == (method, "/wait", 499))


def test_who_has_the_whole_answer_has_not_left(live: Live):
    begun, gone = WAITING.begun, WAITING.gone
    with live.connect() as connection:
        connection.sendall(request("/wait"))
        until(lambda: WAITING.begun > begun)
        live.call(WAITING.answer)
        assert read_reply(connection.makefile("rb")).json == "done"
    time.sleep(0.05)
    assert WAITING.gone == gone


def test_a_client_that_leaves_in_the_middle_of_its_body(live: Live):
    errors = len(live.recorder.errors)
    with live.connect() as connection:
        connection.sendall(b"POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc")
        time.sleep(0.05)
    until(lambda: live.recorder.seen[-1] == ("POST", "/body", 499))
    assert len(live.recorder.errors) == errors


def test_it_is_told_at_once_to_who_asks_late(live: Live):
    with live.connect() as connection:
        STAGE.open(live, connection).close()
    until(lambda: STAGE.gone)
    told: list[int] = []
    live.call(lambda: STAGE.push.on_gone(lambda: told.append(1)))
    until(lambda: told)


def test_a_callback_that_fails_keeps_nothing_from_the_others(live: Live):
    told: list[int] = []

    def fail():
        raise ZeroDivisionError

    with live.connect() as connection:
        STAGE.open(live, connection).close()
        live.call(lambda: (STAGE.push.on_gone(fail), STAGE.push.on_gone(lambda: told.append(1))))
        time.sleep(0.02)
    until(lambda: told)
    assert live.get("/plain").status == 200


BLOCK = b"x" * 16_384


@pytest.mark.promise(8)
def test_a_reader_that_does_not_read_is_bounded_and_told_when_there_is_room(live: Live):
    with live.connect(receive_buffer=4096) as connection:
        reader = STAGE.open(live, connection)
        written = [0]
        buffered = [0]

        def fill():
            while STAGE.push.write(BLOCK):
                written[0] += 1
            written[0] += 1
            buffered[0] = STAGE.push._line.transport.get_write_buffer_size()

        def later():  # uvloop asks the socket at the end of its turn
            fill()
            live.loop.call_later(0.05, fill)

        live.call(later)
        until(lambda: buffered[0])
        time.sleep(0.1)
        assert STAGE.rooms == 0
        assert buffered[0] < 64 * 1024 + 2 * len(BLOCK)
        size = 0
        while not STAGE.rooms:
            size += len(read_chunk(reader) or b"")
        live.call(STAGE.push.close)
        rest, whole = read_chunks(reader)
        assert whole
        assert size + len(rest) == written[0] * len(BLOCK)


@pytest.mark.promise(8)
def test_slow_readers_cost_little_and_harm_nobody(live: Live):
    """A follower that stops at False, as all do."""
    before = psutil.Process().memory_info().rss
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            connection = stack.enter_context(live.connect(receive_buffer=4096))
            stack.enter_context(STAGE.open(live, connection))
            live.call(lambda push=STAGE.push: any(not push.write(BLOCK) for _ in range(1000)))
        began = time.monotonic()
        assert live.get("/plain").status == 200
        assert time.monotonic() - began < 2
        assert psutil.Process().memory_info().rss - before < 100_000_000
    until(lambda: len(STAGE.gone) == 100)


@pytest.mark.promise(9)
def test_hundreds_of_clients_that_come_and_go_leave_nothing(live: Live):
    ends = ["close", "reset"]

    def round_of(count: int) -> None:
        for n in range(count):
            connection = live.connect()
            connection.sendall((request("/s"), request("/wait"), request("/plain"), b"GET /s HT")[n % 4])
            if n % 3 == 0:
                time.sleep(0.002)  # sometimes it leaves before, sometimes while it is answered
            WAYS[ends[n % 2]](connection)
        until(lambda: not live.server.server_state.connections)
        until(lambda: not live.server.server_state.tasks)

    def state() -> tuple[int, int, int]:
        gc.collect()
        cycles = sum(isinstance(each, Cycle) for each in gc.get_objects())
        return psutil.Process().num_fds(), threading.active_count(), cycles

    round_of(40)
    STAGE.push = None
    before = state()
    round_of(500)
    STAGE.push = None
    after = state()
    assert after[0] <= before[0] + 2
    assert after[1] == before[1]
    assert after[2] <= before[2] + 1
