"""A log that cannot be written stands in nobody's way (promise 27)."""

import io
import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tertulia.observability.log import Writer
from tertulia.observability.metrics import LOG_DROPPED
from tests.running import FakeUpstream, RunningServer, chat, wait_for


class Stuck(io.StringIO):
    """A stream that takes nothing until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def write(self, text: str, /) -> int:
        self.let_go.wait(10)
        return super().write(text)


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    stream = Stuck()
    yield stream
    stream.let_go.set()


def dropped() -> float:
    return LOG_DROPPED._value.get()


@pytest.mark.promise(27)
def test_a_stream_that_hangs_holds_nobody_up(stuck: Stuck) -> None:
    writer, before = Writer(stuck), dropped()
    began = time.monotonic()
    for n in range(12_000):
        writer.line(f"line {n}")
    assert time.monotonic() - began < 1
    lost = dropped() - before
    assert 1000 <= lost <= 2000  # ten thousand wait, five hundred or so are with the thread; the rest is counted
    began = time.monotonic()
    writer.close(0.1)
    assert time.monotonic() - began < 1
    stuck.let_go.set()
    wait_for(lambda: stuck.getvalue().count("\n") == 12_000 - lost)
    assert stuck.getvalue().startswith("line 0\nline 1\n")


def test_a_close_writes_what_waits(stuck: Stuck) -> None:
    writer = Writer(stuck)
    for n in range(1200):
        writer.line(str(n))
    stuck.let_go.set()
    writer.close()
    assert stuck.getvalue().split() == [str(n) for n in range(1200)]


@pytest.mark.promise(27)
def test_a_stream_that_is_gone_is_counted_and_no_error() -> None:
    stream = io.StringIO()
    stream.close()
    writer, before = Writer(stream), dropped()
    for n in range(5):
        writer.line(str(n))
    writer.close()
    assert dropped() - before == 5


def test_lines_of_many_threads_stay_whole() -> None:
    stream = io.StringIO()
    writer = Writer(stream)
    threads = [threading.Thread(target=lambda: [writer.line("x" * 50) for _ in range(200)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert stream.getvalue() == ("x" * 50 + "\n") * 1600


@pytest.mark.promise(27)
def test_a_server_whose_log_nobody_reads_serves_and_stops(home: Path, upstream: FakeUpstream) -> None:
    """Standard error is a pipe that is full: some hundred lines are more than it holds."""
    with RunningServer(home, upstream=upstream.url) as own:
        client = own.client()
        for _ in range(600):
            assert client.get("/api/version").status_code == 200
        assert chat(client, "still there?", save_to_db=True).status_code == 200
        assert client.get("/api/health").json()["status"] == "ok"
        own._close_clients()
        assert own.process is not None
        process = own.process.process
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        _, error = process.communicate()
        assert error.count('"path":"/api/version"') > 100


@pytest.mark.promise(27)
def test_a_server_whose_log_has_gone_serves_and_stops(home: Path, upstream: FakeUpstream) -> None:
    with RunningServer(home, upstream=upstream.url) as own:
        assert own.process is not None
        process = own.process.process
        assert process.stderr is not None
        process.stderr.close()
        client = own.client()
        for _ in range(20):
            assert client.get("/api/version").status_code == 200
        assert chat(client, "still there?").status_code == 200
        assert wait_for(lambda: _figure(own, "tertulia_log_dropped_total") >= 20)
        own._close_clients()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_the_log_of_a_request(home: Path, upstream: FakeUpstream) -> None:
    with RunningServer(home, upstream=upstream.url) as own:
        client = own.client()
        asked = {"X-Request-Id": "my-request.1"}
        client.get("/v1/models?secret=canary", headers=asked)
        chat(client, "words that are nobody's business", save_to_db=True)
        own._close_clients()
        assert own.process is not None
        _, error = own.process.stop()
    lines = [json.loads(line) for line in error.splitlines() if line.startswith("{")]
    one = next(line for line in lines if line.get("request_id") == "my-request.1")
    assert (one["event"], one["method"], one["path"], one["status"], one["user"]) == (
        *("request", "GET", "/v1/models", 200, "alice"),
    )
    assert one["client"] == "127.0.0.1"
    assert one["ms"] >= 0
    assert "canary" not in error
    assert "nobody's business" not in error


def test_a_quiet_log(home: Path) -> None:
    with RunningServer(home, more="[logging]\naccess = false\nlevel = 'error'\n") as own:
        httpx2.get(f"{own.url}/api/version")
        assert own.process is not None
        _, error = own.process.stop()
    assert error == ""


def _figure(own: RunningServer, name: str) -> float:
    found = [line for line in httpx2.get(f"{own.url}/metrics").text.splitlines() if line.startswith(f"{name} ")]
    return float(found[0].split()[1])
