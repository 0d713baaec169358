"""A disk that takes no more: a typed 503, red health, no loss, and back by itself (promises 1 and 29)."""

import resource
import sys
from pathlib import Path

import httpx2
import pytest

from tests.doors.books import counted
from tests.running import FakeUpstream, RunningServer, chat, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="limits of another process are Linux's"),
]


def limit(server: RunningServer, size: int) -> None:
    """Let files of the server grow to this size and no further, as on a disk that is full."""
    assert server.process is not None
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def health(client: httpx2.Client) -> tuple[int, str]:
    answer = client.get("/api/health")
    return answer.status_code, answer.json()["status"]


@pytest.mark.promise(1)
@pytest.mark.promise(29)
def test_a_full_disk(home: Path, upstream: FakeUpstream) -> None:
    with RunningServer(home, upstream=upstream.url) as own:
        client = own.client()
        kept = [_saved(chat(client, "before", save_to_db=True))]
        limit(own, 4096)
        refused = [chat(client, f"while it is full {n}", save_to_db=True, stream=n % 2 == 0) for n in range(4)]
        for answer in refused:
            assert answer.status_code == 503, answer.text
            assert answer.json()["error"]["code"] == "storage_unavailable"
            assert int(answer.headers["retry-after"]) >= 1
            assert str(home) not in answer.text
        assert health(client) == (503, "down")
        assert client.get("/health/ready").status_code == 503
        assert client.get("/health/live").status_code == 200
        state = client.get(f"/api/generations/{kept[0]}")  # what is there can be read: an error is no empty answer
        assert (state.status_code, state.json()["text"]) == (200, "before")
        limit(own, resource.RLIM_INFINITY)
        wait_for(lambda: health(client) == (200, "ok"), 10)
        kept.append(_saved(chat(client, "after", save_to_db=True)))
        rows = counted(own)
        assert (rows["generation"], rows["message"]) == (2, 4)  # of what was refused there is nothing
        own.restart()
        client = own.client()
        texts = [client.get(f"/api/generations/{generation}").json()["text"] for generation in kept]
        assert texts == ["before", "after"]


@pytest.mark.promise(1)
@pytest.mark.promise(29)
def test_a_disk_that_fills_while_an_answer_comes(home: Path, upstream: FakeUpstream) -> None:
    with RunningServer(home, upstream=upstream.url) as own:
        client = own.client()
        body = {"model": "up/echo", "messages": [{"role": "user", "content": "x"}], "save_to_db": True, "stream": True}
        slow = {"script": {"reply": "word " * 60, "pace_ms": 20}}
        with client.stream("POST", "/v1/chat/completions", json=body | slow) as answer:
            generation = answer.headers["x-generation-id"]
            lines = answer.iter_lines()
            next(lines)
            limit(own, 4096)
            rest = "\n".join(lines)
        assert rest.rstrip().endswith("data: [DONE]")
        state = client.get(f"/api/generations/{generation}").json()
        limit(own, resource.RLIM_INFINITY)
        wait_for(lambda: health(client) == (200, "ok"), 10)
        if '"finish_reason":"stop"' in rest:  # an end that was told is an end that is kept
            assert state["state"] == "completed"
        own.restart()
        after = own.client().get(f"/api/generations/{generation}").json()
        assert after["state"] in {"completed", "failed", "interrupted"}
        if '"finish_reason":"stop"' in rest:
            assert (after["state"], after["text"]) == ("completed", "word " * 60)


def _saved(answer: httpx2.Response) -> str:
    assert answer.status_code == 200, answer.text
    return answer.headers["x-generation-id"]
