"""The door behind a server that is not ours, and plain ASGI applications on the server that is."""

import asyncio
import contextlib
import threading
import time

import pytest
import uvicorn

from tertulia.asgi.exchange import json_answer
from tertulia.asgi.settings import RequestSettings, ServerSettings
from tertulia.kernel.errors import TertuliaError
from tests.asgi.live import Live, Recorder, Stage, make_door, read_chunk, read_chunks, request, route, served, until

STAGE = Stage()
WAITS: list[asyncio.Event] = []


async def echo(exchange):
    return json_answer(len(await exchange.body()))


async def pieces(exchange):
    return json_answer(sum([len(piece) async for piece in exchange.pieces()]))


async def unread(_):
    return json_answer("did not look")


async def wait(exchange):
    await exchange.body()
    left = asyncio.Event()
    exchange.on_gone(left.set)
    WAITS.append(left)
    await left.wait()
    return json_answer("nobody reads this")


async def five(exchange):
    push = exchange.stream()
    for n in range(5):
        push.write(b"%d" % n)
    push.close()


async def broken(exchange):
    exchange.stream().write(b"one")
    await asyncio.sleep(0.05)
    raise ValueError("in the middle")


async def defect(_):
    raise ValueError("at once")


ROUTES = (
    route("/echo", echo, "POST"),
    route("/pieces", pieces, "POST"),
    route("/unread", unread, "POST"),
    route("/wait", wait, "POST"),
    route("/five", five),
    route("/broken", broken),
    route("/defect", defect),
    route("/s", STAGE.handler),
)


@contextlib.contextmanager
def behind(http: str):
    """The door behind uvicorn's own protocols."""
    live = Live(Recorder())
    told: list[str] = []

    @contextlib.asynccontextmanager
    async def life():
        told.append("begin")
        yield
        told.append("end")

    door = make_door(*ROUTES, recorder=live.recorder, requests=RequestSettings(max_body_bytes=2_000_000), life=life)
    config = uvicorn.Config(door, port=0, http=http, ws="none", lifespan="on", log_config=None, access_log=False)
    server = uvicorn.Server(config)

    async def main() -> None:
        live.loop = asyncio.get_running_loop()
        await server.serve()

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    try:
        until(lambda: server.started)
        live.port = server.servers[0].sockets[0].getsockname()[1]
        assert told == ["begin"]
        yield live
    finally:
        server.should_exit = True
        thread.join(10)
    assert told == ["begin", "end"]


@pytest.fixture(scope="module", params=["httptools", "h11"])
def live(request: pytest.FixtureRequest):
    with behind(request.param) as made:
        yield made


def test_bodies(live: Live):
    assert live.get("/echo", method="POST", body=b"x" * 1_000_000).json == 1_000_000
    assert live.get("/pieces", method="POST", body=b"x" * 1_000_000).json == 1_000_000
    assert live.get("/unread", method="POST", body=b"x" * 1000).json == "did not look"
    assert live.get("/echo", method="POST", body=b"x" * 2_000_001).code == "body_too_large"
    head = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    many = b"".join(b"186a0\r\n%b\r\n" % (b"x" * 100_000) for _ in range(21)) + b"0\r\n\r\n"
    assert live.ask(head + many)[0].code == "body_too_large"


def test_streams(live: Live):
    answers = live.ask(request("/five") + request("/five"), answers=2)
    assert [answer.body for answer in answers] == [b"01234"] * 2
    assert live.get("/five", method="HEAD").body == b""


def test_errors(live: Live):
    assert live.get("/defect").code == "internal"
    answer = live.get("/broken")
    assert (answer.body, answer.whole) == (b"one", False)


def test_a_client_that_leaves_a_silent_stream(live: Live):
    STAGE.gone.clear()
    with live.connect() as connection:
        reader = STAGE.open(live, connection)
        live.call(lambda: STAGE.push.write(b"one"))
        assert read_chunk(reader) == b"one"
        reader.close()
    until(lambda: STAGE.gone)
    until(lambda: live.recorder.seen[-1] == ("GET", "/s", 499))
    assert len(STAGE.gone) == 1


def test_a_client_that_leaves_before_its_answer(live: Live):
    with live.connect() as connection:
        connection.sendall(request("/wait", method="POST", body=b"abc"))
        until(lambda: WAITS)
    until(lambda: WAITS.pop().is_set() if WAITS else True)
    until(lambda: live.recorder.seen[-1] == ("POST", "/wait", 499))


def test_a_slow_reader_is_told_when_there_is_room(live: Live):
    STAGE.rooms = 0
    block = b"x" * 20_000
    with live.connect(receive_buffer=4096) as connection:
        reader = STAGE.open(live, connection)
        written, rooms = [0], 0

        def fill():
            while True:
                written[0] += 1
                if not STAGE.push.write(block):
                    return

        for _ in range(400):  # until the transport, and not only our queue, is full
            rooms = STAGE.rooms
            live.call(fill)
            time.sleep(0.01)
            if STAGE.rooms == rooms:
                break
        size = 0
        while STAGE.rooms == rooms:
            size += len(read_chunk(reader) or b"")
        live.call(STAGE.push.close)
        rest, whole = read_chunks(reader)
        assert whole
        assert size + len(rest) == written[0] * len(block)


async def test_a_life_that_cannot_begin_is_told_to_the_server():
    class Broken(TertuliaError):
        pass

    @contextlib.asynccontextmanager
    async def life():
        raise Broken("No database.")
        yield

    sent = []

    async def receive():
        return {"type": "lifespan.startup"}

    async def send(message):
        sent.append(message)

    await make_door(life=life)({"type": "lifespan"}, receive, send)
    assert sent == [{"type": "lifespan.startup.failed", "message": "No database."}]


async def call(door, scope, *events):
    """Call a door as an ASGI server would, with what it receives written down beforehand."""
    waiting, sent = list(events), []

    async def receive():
        while not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    async def send(message):
        sent.append(message)
        if scope.get("breaks"):
            raise OSError("gone")

    base = {"type": "http", "method": "GET", "http_version": "1.1", "headers": [(b"host", b"localhost")]}
    await door({**base, "query_string": b"", "scheme": "http", **scope}, receive, send)
    return sent


async def test_a_server_that_gives_no_raw_path():
    async def show(exchange):
        return json_answer(exchange.params["id"])

    sent = await call(make_door(route("/a/{id}", show)), {"path": "/a/ä b"})
    assert sent[1]["body"] == '"ä b"'.encode()


async def test_a_server_that_tells_by_an_error_that_the_client_left():
    recorder = Recorder()
    gone = []

    async def stream(exchange):
        exchange.on_gone(lambda: gone.append(1))
        exchange.stream().write(b"x")

    door = make_door(route("/s", stream), recorder=recorder)
    await call(door, {"path": "/s", "breaks": True})
    assert (gone, recorder.seen) == ([1], [("GET", "/s", 499)])


async def test_a_web_socket_is_refused_where_none_is_spoken_or_the_host_is_not_ours():
    taken = []

    async def socket(scope, receive, send):
        taken.append(scope["path"])

    closed = [{"type": "websocket.close", "code": 1008}]
    assert await call(make_door(), {"type": "websocket", "path": "/ws"}) == closed
    evil = {"type": "websocket", "path": "/ws", "headers": [(b"host", b"evil.example")]}
    assert await call(make_door(websocket=socket), evil) == closed
    assert await call(make_door(websocket=socket), {"type": "websocket", "path": "/ws"}) == []
    assert taken == ["/ws"]


class Plain:
    """A plain ASGI application, of somebody who has never heard of a push."""

    def __init__(self) -> None:
        self.ends: list[str] = []

    @contextlib.asynccontextmanager
    async def live(self):
        yield

    async def __call__(self, scope, receive, send):
        if scope["path"] == "/raise":
            raise ValueError("plain")
        if scope["path"] == "/nothing":
            return
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.ends.append("while reading")
                return
            size, more = size + len(message["body"]), message["more_body"]
        if scope["path"] == "/stream":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"X-Plain", b"yes")]})
            for _ in range(100):
                await send({"type": "http.response.body", "body": b"x" * 50_000, "more_body": True})
            await send({"type": "http.response.body"})
            return
        if scope["path"] == "/watch":
            self.ends.append((await receive())["type"])
            return
        body = b"%d" % size
        headers = [(b"Content-Length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@pytest.mark.filterwarnings("default")
def test_plain_asgi_on_our_server(caplog: pytest.LogCaptureFixture):
    plain = Plain()
    with served(app=lambda _: plain, server=ServerSettings(port=0, graceful_s=1)) as live:
        answers = live.ask(request("/size", method="POST", body=b"x" * 300_000) + request("/size"), answers=2)
        assert [answer.body for answer in answers] == [b"300000", b"0"]
        assert len(answers[0].lines) == len(answers[0].headers)
        stream = live.get("/stream")
        assert (len(stream.body), stream.whole, stream.headers["x-plain"]) == (5_000_000, True, "yes")
        with live.connect() as connection:
            connection.sendall(request("/watch"))
            time.sleep(0.05)
        until(lambda: plain.ends == ["http.disconnect"])
        with live.connect() as connection:
            connection.sendall(b"POST /size HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc")
            time.sleep(0.05)
        until(lambda: plain.ends[1:] == ["while reading"])
        for path in ("/raise", "/nothing"):
            with live.connect() as connection, contextlib.suppress(ConnectionResetError):
                connection.sendall(request(path))
                assert connection.recv(1) == b""
        with live.connect() as connection:
            connection.sendall(request("/stream"))
            reader = connection.makefile("rb")
            reader.read(100)
            reader.close()
        until(lambda: not live.server.server_state.tasks)
    assert any("plain" in str(record.exc_info) for record in caplog.records)
