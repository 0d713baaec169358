"""Following, resuming, and what a dead process leaves behind (Architecture, invariants 1 to 5)."""

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tertulia.turn.codec import decode_events
from tertulia.turn.fold import fold
from tests.running import FakeUpstream, RunningServer, chat, frames, texts, wait_for

LONG = "the quick brown fox jumps over the lazy dog, twice a day; "


def ask(client: httpx2.Client, *, save: bool = True, **script: Any) -> list[dict[str, Any]]:
    answer = chat(client, save_to_db=save, stream=True, script=script)
    assert answer.status_code == 200, answer.text
    return frames(answer.text)


def events(client: httpx2.Client, generation_id: str, **how: Any) -> httpx2.Response:
    return client.get(f"/api/generations/{generation_id}/events", **how)


@pytest.mark.promise(3)
@pytest.mark.parametrize("save", [True, False])
def test_a_resume_is_the_tail_of_the_whole(server: RunningServer, save: bool) -> None:
    client = server.client()
    generation_id = ask(client, save=save, reply=LONG, reasoning="hm")[0]["data"]["generation_id"]
    whole = events(client, generation_id).text.split("\n\n")
    ids = [int(block.split("\n")[0].removeprefix("id: ")) for block in whole if block.startswith("id: ")]
    assert ids[0] == 1
    assert ids == sorted(set(ids))
    for place, event_id in enumerate(ids):
        for how in ({"headers": {"Last-Event-ID": str(event_id)}}, {"params": {"after": event_id}}):
            assert events(client, generation_id, **how).text.split("\n\n") == whole[place + 1 :]
    both = events(client, generation_id, headers={"Last-Event-ID": str(ids[-1])}, params={"after": "1"})
    assert both.text == "data: [DONE]\n\n"


@pytest.mark.promise(3)
@pytest.mark.parametrize("bad", ["nonsense", "-1", "99999999999999999999", "7777", str(5 << 32), "1.5"])
def test_an_impossible_event_id_is_refused(server: RunningServer, bad: str) -> None:
    client = server.client()
    generation_id = ask(client, reply="hi")[0]["data"]["generation_id"]
    refused = events(client, generation_id, headers={"Last-Event-ID": bad})
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "invalid_event_id"


def test_follow_false_ends_after_what_is_there(server: RunningServer) -> None:
    client = server.client()
    body = {"model": "up/echo", "messages": [{"role": "user", "content": "x"}], "stream": True}
    slow = {"script": {"reply": LONG * 20, "pace_ms": 20}}
    with client.stream("POST", "/v1/chat/completions", json=body | slow) as answer:
        generation_id = answer.headers["x-generation-id"]
        began = time.monotonic()
        seen = frames(events(client, generation_id, params={"follow": "false"}).text)
        assert time.monotonic() - began < 2
        assert seen[0]["event"] == "start"
        assert all(frame.get("event") != "completed" for frame in seen)


@pytest.mark.promise(13)
def test_many_followers_see_the_same_frames(server: RunningServer) -> None:
    client = server.client()
    body = {"model": "up/echo", "messages": [{"role": "user", "content": "x"}], "stream": True, "save_to_db": True}
    slow = {"script": {"reply": LONG, "pace_ms": 10}}
    with client.stream("POST", "/v1/chat/completions", json=body | slow) as answer:
        generation_id = answer.headers["x-generation-id"]
        live = events(client, generation_id).text
        own = frames(answer.read().decode())
    after = events(client, generation_id).text
    assert live == after
    assert texts(own) == texts(frames(after)) == LONG


@pytest.mark.promise(33)
def test_a_generation_belongs_to_its_owner(server: RunningServer) -> None:
    owner, stranger = server.client("owner"), server.client("stranger")
    supervisor = server.client("warden", role="supervisor")
    off_duty = server.client("warden", "chat", "read")
    for save in (True, False):
        generation_id = ask(owner, save=save, reply="private")[0]["data"]["generation_id"]
        for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel")):
            url = f"/api/generations/{generation_id}{path}"
            refused = stranger.request(method, url)
            assert refused.status_code == 403
            assert "private" not in refused.text
            assert owner.request(method, url).status_code == 200
            assert off_duty.request(method, url).status_code == 403
            if method == "GET":
                assert supervisor.request(method, url).status_code == 200
            assert server.anonymous().request(method, url).status_code == 401
    for unknown in ("00000000-0000-7000-8000-000000000000", "x", "1" * 400):
        assert owner.get(f"/api/generations/{unknown}").status_code == 404


@pytest.mark.promise(1)
@pytest.mark.promise(5)
def test_what_a_killed_server_leaves_is_interrupted(home: Path, upstream: FakeUpstream) -> None:
    with RunningServer(home, upstream=upstream.url) as own:
        body = {"model": "up/echo", "messages": [{"role": "user", "content": "tell me"}], "stream": True}
        slow = {"save_to_db": True, "script": {"reply": LONG * 50, "pace_ms": 5}}
        asked = upstream.counts()["asked"]
        with own.client().stream("POST", "/v1/chat/completions", json=body | slow) as answer:
            generation_id = answer.headers["x-generation-id"]
            seen: list[str] = []
            last_id = 0
            try:
                for line in answer.iter_lines():
                    if line.startswith("id: "):
                        last_id = int(line[4:])
                    if line.startswith("data: {"):
                        seen += [choice["delta"].get("content") or "" for choice in json.loads(line[6:])["choices"]]
                    if last_id > 150:
                        own.kill()
            except httpx2.HTTPError:
                pass
        own.start()
        client = own.client()
        state = client.get(f"/api/generations/{generation_id}").json()
        assert (state["state"], state["error"]["code"]) == ("interrupted", "interrupted")
        kept, sent = state["text"], "".join(seen)
        assert sent.startswith(kept) or kept.startswith(sent)
        assert len(sent) - len(kept) <= 4 * 64 + 4 * 60  # 64 deltas, or 250 ms of them
        assert state["usage"]["estimated"] is True
        assert upstream.counts()["asked"] == asked + 1  # recovery calls nobody

        replay = frames(events(client, generation_id).text)
        assert replay[-2]["event"] == "interrupted"
        assert texts(replay) == kept

        beyond = frames(events(client, generation_id, headers={"Last-Event-ID": str(last_id)}).text)
        assert [frame.get("event") for frame in beyond[-2:]] == ["interrupted", None]
        if len(kept) < len(sent):
            assert beyond[0]["event"] == "gap"
            assert beyond[0]["data"]["text"] == kept
    _require_books(home, generation_id, kept, "interrupted")


def test_the_stored_message_is_the_fold_of_its_log(home: Path, upstream: FakeUpstream) -> None:
    """Invariant 1, over every kind of ending."""
    with RunningServer(home, upstream=upstream.url) as own:
        client = own.client()
        scripts: list[dict[str, Any]] = [
            {"reply": LONG * 5, "reasoning": "let me see"},
            {"reply": LONG, "pace_ms": 2, "fault": {"kind": "cut", "after": 7}},
            {"tool_calls": [{"name": "a", "arguments": '{"x": 1}'}, {"name": "b"}]},
            {"refusal": "I would rather not"},
            {"reply": "", "fault": {"kind": "status", "status": 500}},
        ]
        for script in scripts:
            chat(client, save_to_db=True, stream=True, script=script)
    _require_folds(home, len(scripts))


def _open(home: Path) -> sqlite3.Connection:
    return sqlite3.connect(home / "tertulia.db")


def _require_books(home: Path, generation_id: str, text: str, status: str) -> None:
    key = bytes.fromhex(generation_id.replace("-", ""))
    with _open(home) as rows:
        found = rows.execute("SELECT parts, status FROM message WHERE generation_id = ?", (key,)).fetchall()
        usage = rows.execute("SELECT outcome, estimated FROM usage WHERE id = ?", (key,)).fetchall()
        running = rows.execute("SELECT count(*) FROM generation WHERE state IN ('queued', 'running')").fetchone()
    rows.close()
    assert [(json.loads(parts).get("text", ""), its) for parts, its in found] == [(text, status)]
    assert usage == [(status, 1)]
    assert running == (0,)


def _require_folds(home: Path, count: int) -> None:
    with _open(home) as rows:
        generations = rows.execute("SELECT id FROM generation").fetchall()
        assert len(generations) == count
        for (key,) in generations:
            entries = rows.execute(
                "SELECT entries FROM generation_event WHERE generation_id = ? ORDER BY epoch, first_n", (key,)
            ).fetchall()
            folded = fold(event for (batch,) in entries for event in decode_events(batch))
            parts, reasoning = rows.execute(
                "SELECT parts, reasoning FROM message WHERE generation_id = ?", (key,)
            ).fetchone()
            stored, choice = json.loads(parts), folded.choice()
            assert stored.get("text", "") == choice.text
            assert stored.get("refusal", "") == choice.refusal
            assert [call["function"] for call in stored.get("tool_calls", ())] == [
                {"name": call.function.name, "arguments": call.function.arguments} for call in choice.tool_calls
            ]
            assert (reasoning or "") == choice.reasoning
    rows.close()


def test_an_ephemeral_log_expires(home: Path, upstream: FakeUpstream) -> None:
    with RunningServer(home, upstream=upstream.url, more="[chat]\nstream_buffer_s = 0.2\n") as own:
        client = own.client()
        generation_id = ask(client, save=False, reply="soon gone")[0]["data"]["generation_id"]
        gone = wait_for(
            lambda: (answer := client.get(f"/api/generations/{generation_id}")).status_code == 404 and answer
        )
        assert gone.json()["error"]["code"] == "generation_expired"
        assert own.client("other").get(f"/api/generations/{generation_id}").status_code == 403


def test_a_queue_is_fair_and_says_where_one_stands(server: RunningServer) -> None:
    client = server.client()
    body = {"model": "narrow/echo", "messages": [{"role": "user", "content": "x"}], "stream": True}
    slow = {"script": {"reply": "word " * 20, "pace_ms": 40}}
    with client.stream("POST", "/v1/chat/completions", json=body | slow) as first:
        lines = first.iter_lines()
        next(lines)
        waiting = chat(client, model="narrow/echo", stream=True, script={"reply": "mine"})
        found = frames(waiting.text)
    assert texts(found) == "mine"
    generation_id = waiting.headers["x-generation-id"]
    queued = [frame for frame in frames(events(client, generation_id).text) if frame.get("event") == "queued"]
    assert queued[0]["data"]["position"] == 1
    assert queued[0]["data"]["estimatedWaitMs"] > 0


@pytest.mark.promise(22)
def test_a_fallback_is_tried_before_the_first_token_only(server: RunningServer) -> None:
    client = server.client()
    answer = chat(client, "hello", model="careful")
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-provider"] == "up"
    assert answer.json()["choices"][0]["message"]["content"] == "hello"
    state = client.get(f"/api/generations/{answer.headers['x-generation-id']}").json()
    assert [(tried["provider"], tried["status"]) for tried in state["attempts"]] == [
        ("nobody", "failed"),
        ("up", "completed"),
    ]
    broken = {"reply": LONG, "fault": {"kind": "cut", "after": 2}, "pace_ms": 1}
    failed = frames(chat(client, model="up/echo", fallbacks=["fake/echo"], stream=True, script=broken).text)
    assert failed[-2]["data"]["error"]["code"] == "upstream_truncated"
