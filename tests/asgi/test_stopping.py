"""Starting and stopping: the port, TLS, signals, answers under way."""

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tertulia.asgi.exchange import json_answer
from tertulia.asgi.server import CannotListen, TlsUnusable, address_of, bind, serve
from tertulia.asgi.settings import RequestSettings, ServerSettings
from tertulia.kernel.errors import TertuliaError
from tests.asgi.live import Stage, make_door, read_chunk, read_reply, request, route, served, until

STAGE = Stage()


async def slow(_):
    await asyncio.sleep(0.4)
    return json_answer("slow")


async def endless(_):
    await asyncio.sleep(60)


ROUTES = (route("/s", STAGE.handler), route("/slow", slow), route("/endless", endless))


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False


@pytest.mark.promise(28)
def test_a_stop_lets_answers_end_and_takes_no_new_ones():
    with served(*ROUTES) as live, live.connect() as busy, live.connect() as idle, live.connect() as half:
        idle.sendall(request("/slow"))
        assert read_reply(idle.makefile("rb")).json == "slow"
        half.sendall(b"GET /sl")
        busy.sendall(request("/slow") + request("/slow"))
        until(lambda: live.server.server_state.tasks)
        live.call(live.server.stop)
        until(lambda: refused(live.port))
        reader = busy.makefile("rb")
        answer = read_reply(reader)
        assert (answer.json, answer.headers["connection"]) == ("slow", "close")
        assert reader.read() == b""
        assert idle.recv(1) == b""
        assert half.recv(1) == b""


@pytest.mark.promise(28)
def test_streams_are_ended_by_their_owners_who_watch_draining():
    with served(*ROUTES, server=ServerSettings(port=0, graceful_s=10)) as live, live.connect() as connection:
        reader = STAGE.open(live, connection)
        push = STAGE.push

        async def watch():
            await live.server.draining.wait()
            push.write(b"event: bye\n\n")
            push.close()

        tasks = []
        live.call(lambda: tasks.append(live.loop.create_task(watch())))
        until(lambda: tasks)
        began = time.monotonic()
        live.call(live.server.stop)
        assert read_chunk(reader) == b"event: bye\n\n"
        assert read_chunk(reader) == b""
        assert reader.read() == b""
        until(lambda: refused(live.port))
        assert time.monotonic() - began < 3


def test_what_is_not_ended_in_time_is_cut():
    settings = ServerSettings(port=0, graceful_s=0.5)
    with served(*ROUTES, server=settings) as live, live.connect() as streaming, live.connect() as waiting:
        reader = STAGE.open(live, streaming)
        waiting.sendall(request("/endless"))
        until(lambda: len(live.server.server_state.tasks) == 2)
        began = time.monotonic()
        live.call(live.server.stop)
        assert read_chunk(reader) is None
        with contextlib.suppress(ConnectionResetError):
            assert waiting.recv(1) == b""
        assert 0.4 < time.monotonic() - began < 3
    assert sorted(live.recorder.seen) == [("GET", "/endless", 503), ("GET", "/s", 503)]


async def large(_):
    return json_answer("x" * 24_000_000)


async def test_nobody_is_left_connected_where_the_program_goes_on():
    servers, ports = [], []
    settings = ServerSettings(port=0, graceful_s=0.2)
    door = make_door(route("/large", large))
    serving = asyncio.create_task(
        serve(door, settings, RequestSettings(), on_started=ports.append, on_server=servers.append)
    )
    await asyncio.to_thread(until, lambda: ports)
    connection = socket.create_connection(("127.0.0.1", int(ports[0].rpartition(":")[2])))
    with connection:  # asks, and does not read
        connection.sendall(request("/large", "Connection: close"))
        await asyncio.to_thread(until, lambda: servers[0].server_state.total_requests)
        servers[0].stop()
        await serving
        await asyncio.sleep(0)
        assert not servers[0].server_state.connections


def test_a_second_wish_to_stop_does_not_wait():
    with served(*ROUTES, server=ServerSettings(port=0, graceful_s=60)) as live, live.connect() as connection:
        connection.sendall(request("/endless"))
        until(lambda: live.server.server_state.tasks)
        live.call(live.server.stop)
        until(lambda: refused(live.port))
        live.call(live.server.stop)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""


def test_a_port_that_is_taken_is_one_clear_line():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(CannotListen, match=f"Cannot listen on 127.0.0.1:{port}: address already in use") as refused:
            bind("127.0.0.1", port)
        assert "\n" not in refused.value.message
        with pytest.raises(CannotListen), served(*ROUTES, server=ServerSettings(port=port)):
            pass


def test_two_that_bound_one_port_do_not_both_listen():
    first = bind("127.0.0.1", 0)
    port = first[0].getsockname()[1]
    second = bind("127.0.0.1", port)
    first[0].listen()
    try:
        with pytest.raises(OSError, match="in use"):
            second[0].listen()
    finally:
        for each in (*first, *second):
            each.close()


def test_hosts_that_cannot_be_listened_on():
    with pytest.raises(CannotListen, match="not known"):
        bind("no-such-host.invalid", 0)
    with pytest.raises(CannotListen, match=r"192\.0\.2\.1:0"):
        bind("192.0.2.1", 0)


def test_the_real_port_is_reported():
    bound = bind("127.0.0.1", 0)
    port = bound[0].getsockname()[1]
    assert port
    assert address_of(bound, ServerSettings()) == f"http://127.0.0.1:{port}"
    bound[0].close()
    everywhere = bind("0.0.0.0", 0)
    assert address_of(everywhere, ServerSettings(tls_cert="x")).startswith("https://127.0.0.1:")
    everywhere[0].close()


def test_the_applications_own_error_comes_out_as_it_is_and_the_port_is_free_again():
    class Broken(TertuliaError):
        code = "broken"

    @contextlib.asynccontextmanager
    async def life():
        raise Broken("No database.")
        yield

    bound = bind("127.0.0.1", 0)
    port = bound[0].getsockname()[1]
    bound[0].close()
    with pytest.raises(Broken, match="No database"), served(*ROUTES, server=ServerSettings(port=port), life=life):
        pass
    assert refused(port)
    bind("127.0.0.1", port)[0].close()


def test_the_applications_life_encloses_all_requests():
    told: list[str] = []

    @contextlib.asynccontextmanager
    async def life():
        told.append("begin")
        yield
        told.append("end")

    with served(*ROUTES, life=life) as live:
        assert told == ["begin"]
        assert live.get("/slow").status == 200
    assert told == ["begin", "end"]


def certificate(folder: Path) -> tuple[str, str]:
    cert, key = folder / "cert.pem", folder / "key.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("openssl cannot make a certificate here")
    return str(cert), str(key)


def test_tls(tmp_path: Path):
    cert, key = certificate(tmp_path)
    context = ssl.create_default_context(cafile=cert)
    with served(*ROUTES, server=ServerSettings(port=0, tls_cert=cert, tls_key=key, graceful_s=2)) as live:
        with context.wrap_socket(live.connect(), server_hostname="localhost") as connection:
            connection.sendall(request("/slow"))
            assert read_reply(connection.makefile("rb")).json == "slow"
            reader = STAGE.open(live, connection)
            live.call(lambda: STAGE.push.write(b"x"))
            assert read_chunk(reader) == b"x"
            STAGE.gone.clear()
            reader.close()
        until(lambda: STAGE.gone)


def test_a_certificate_that_cannot_be_used(tmp_path: Path):
    for cert in (tmp_path / "none.pem", tmp_path):
        settings = ServerSettings(port=0, tls_cert=str(cert))
        with pytest.raises(TlsUnusable, match="cannot be used"), served(*ROUTES, server=settings):
            pass


PROGRAM = """
import asyncio, logging
from tertulia.asgi.exchange import json_answer
from tertulia.asgi.server import run, serve
from tertulia.asgi.settings import RequestSettings, ServerSettings
from tests.asgi.live import make_door, route

async def slow(exchange):
    await asyncio.sleep(1)
    return json_answer("slow")

settings = ServerSettings(port=0, graceful_s=20)
started = lambda address: print(address, flush=True)
run(serve(make_door(route("/slow", slow)), settings, RequestSettings(), on_started=started))
print("ended", flush=True)
"""


@pytest.mark.promise(28)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_the_program_ends_well(number: signal.Signals):
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'src'}"}
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as program:
        assert program.stdout is not None
        try:
            port = int(program.stdout.readline().rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(request("/slow"))
                time.sleep(0.2)
                program.send_signal(number)
                assert read_reply(connection.makefile("rb")).json == "slow"
            out, err = program.communicate(timeout=10)
        finally:
            program.kill()
    assert (program.returncode, out, err) == (0, "ended\n", "")


def test_nothing_of_a_server_stays_behind():
    before = threading.active_count()
    for _ in range(3):
        with served(*ROUTES) as live:
            live.get("/slow")
    assert threading.active_count() == before
