"""Ends that the database does not take at once, or not at all (promises 4 and 29)."""

import sqlite3
import threading
import time
from pathlib import Path

import pytest

from tests.running import FakeUpstream, RunningServer, chat, frames, wait_for


@pytest.mark.slow
@pytest.mark.promise(29)
def test_an_end_that_finds_the_database_locked_is_stored_later(home: Path, upstream: FakeUpstream) -> None:
    with RunningServer(home, upstream=upstream.url) as own:
        client = own.client()
        answers: list[int] = []
        script = {"reply": "kept all the same", "pace_ms": 100}
        ids: list[str] = []

        def ask() -> None:
            with own.client().stream(
                "POST",
                "/v1/chat/completions",
                json={
                    "model": "up/echo",
                    "messages": [{"role": "user", "content": "x"}],
                    "stream": True,
                    "save_to_db": True,
                    "script": script,
                },
            ) as answer:
                ids.append(answer.headers["x-generation-id"])
                found = frames(answer.read().decode())
                answers.append(answer.status_code)
                assert found[-2]["data"]["error"]["code"] == "storage_unavailable"

        asking = threading.Thread(target=ask)
        asking.start()
        wait_for(lambda: ids)
        lock = sqlite3.connect(home / "tertulia.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        asking.join(60)
        assert answers == [200]
        assert client.get(f"/api/generations/{ids[0]}").json()["state"] == "failed"
        lock.execute("ROLLBACK")
        lock.close()
        time.sleep(0)
        reader = sqlite3.connect(home / "tertulia.db")
        stored = wait_for(
            lambda: (row := reader.execute("SELECT state FROM generation").fetchone())[0] == "failed" and row,
            40,
        )
        parts = reader.execute("SELECT parts, status FROM message WHERE role = 'assistant'").fetchone()
        usage = reader.execute("SELECT outcome FROM usage").fetchall()
        reader.close()
        assert stored == ("failed",)
        assert parts == ('{"text":"kept all the same"}', "failed")
        assert usage == [("failed",)]


@pytest.mark.timeout(30)  # where it fails, a follower waits for ever
@pytest.mark.promise(4)
@pytest.mark.parametrize("model", ["up/echo", "fake/echo"])
def test_a_text_that_no_database_takes_ends_all_the_same(server: RunningServer, model: str) -> None:
    client = server.client()
    found = frames(
        chat(client, model=model, stream=True, save_to_db=True, script={"pieces": ["a", "b"], "nul": True}).text
    )
    generation_id = found[0]["data"]["generation_id"]
    state = client.get(f"/api/generations/{generation_id}").json()
    # A wire's reader puts another character in its place; what comes past it is lost, and said to be.
    if model == "up/echo":
        assert (state["state"], state["text"]) == ("completed", "a\ufffdb")
    else:
        assert (state["state"], state["error"]["code"]) == ("failed", "internal")
    replay = frames(client.get(f"/api/generations/{generation_id}/events").text)
    assert replay[-1]["data"] == "[DONE]"


def test_waiting_in_the_queue_costs_nothing(server: RunningServer) -> None:
    client = server.client("waiter")
    body = {"model": "narrow/echo", "messages": [{"role": "user", "content": "x" * 400}], "stream": True}
    with client.stream(
        "POST", "/v1/chat/completions", json=body | {"script": {"reply": "w " * 80, "pace_ms": 50}}
    ) as a:
        first = a.iter_lines()
        next(first)
        with client.stream("POST", "/v1/chat/completions", json=body | {"save_to_db": True}) as waiting:
            generation_id = waiting.headers["x-generation-id"]
            state = client.get(f"/api/generations/{generation_id}").json()
            assert (state["state"], state["queuePosition"]) == ("queued", 1)
            stopped = client.post(f"/api/generations/{generation_id}/cancel").json()
    assert stopped["state"] == "cancelled"
    assert stopped["usage"] == {"promptTokens": 0, "completionTokens": 0, "totalTokens": 0}


def test_when_to_come_back_is_passed_on(server: RunningServer) -> None:
    fault = {"kind": "status", "status": 429, "retry_after": 17}
    answer = chat(server.client(), script={"fault": fault})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "17")


def test_a_wait_that_was_too_long_may_be_tried_again(home: Path, upstream: FakeUpstream) -> None:
    with RunningServer(home, upstream=upstream.url, more="[queue]\nmax_wait_s = 0.2\n") as own:
        client = own.client()
        body = {"model": "narrow/echo", "messages": [{"role": "user", "content": "x"}], "stream": True}
        with client.stream(
            "POST", "/v1/chat/completions", json=body | {"script": {"reply": "w " * 99, "pace_ms": 50}}
        ) as a:
            lines = a.iter_lines()
            next(lines)
            refused = chat(client, model="narrow/echo")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
    assert refused.headers["retry-after"] == "5"
    assert "x-should-retry" not in refused.headers
