"""Health, version, figures and the description of the API (HTTP contract)."""

import json
import re
import signal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tertulia import __version__
from tests.running import FakeUpstream, RunningServer, chat, wait_for

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def figures(server: RunningServer) -> dict[str, float]:
    """The figures by name and labels."""
    text = server.anonymous().get("/metrics").text
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_health(server: RunningServer) -> None:
    answer = server.anonymous().get("/api/health")
    assert answer.status_code == 200
    health = answer.json()
    assert health.keys() == {"status", "version", "timestamp", "checks"}
    assert (health["status"], health["version"]) == ("ok", __version__)
    assert TIME.fullmatch(health["timestamp"])
    assert health["checks"]["storage"] == {"status": "ok"}
    assert server.anonymous().get("/health/live").json() == {"status": "ok"}
    ready = server.anonymous().get("/health/ready")
    assert (ready.status_code, ready.json()) == (200, {"status": "ok", "checks": {"storage": {"status": "ok"}}})


def test_version(server: RunningServer) -> None:
    open_to_all = server.anonymous().get("/api/version").json()
    assert open_to_all == {"version": __version__, "api": "1"}
    assert server.client().get("/api/version").json().items() >= open_to_all.items()


@pytest.mark.promise(28)
def test_a_server_that_stops_is_not_ready_and_still_lives(home: Path, upstream: FakeUpstream) -> None:
    with RunningServer(home, upstream=upstream.url) as own:
        with httpx2.Client(base_url=own.url) as watcher:
            assert watcher.get("/health/ready").status_code == 200
            slow: Any = {"reply": "one two three four five six", "pace_ms": 150}
            body = {"model": "up/echo", "messages": [{"role": "user", "content": "x"}], "stream": True, "script": slow}
            with own.client().stream("POST", "/v1/chat/completions", json=body) as answer:
                lines = answer.iter_lines()
                next(lines)
                assert own.process is not None
                own.process.process.send_signal(signal.SIGTERM)
                rest = "\n".join(lines)
            assert "[DONE]" in rest
            assert '"finish_reason":"stop"' in rest
        assert own.process.process.wait(10) == 0


def test_figures_are_for_neighbours_and_who_has_the_token(home: Path) -> None:
    with RunningServer(home, more='[metrics]\ntoken = "the-figures-token"\n') as own:
        client = own.anonymous()
        assert client.get("/metrics").status_code == 200
        for header in ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port"):
            for value in ("127.0.0.1", ""):
                refused = client.get("/metrics", headers={header: value})
                assert (refused.status_code, refused.json()["error"]["code"]) == (401, "missing_credential")
        through = {"X-Forwarded-For": "192.0.2.1"}
        good = client.get("/metrics", headers={**through, "Authorization": "Bearer the-figures-token"})
        assert good.status_code == 200
        assert good.headers["content-type"].startswith("text/plain; version=0.0.4")
        for wrong in ("the-figures-toke", "the-figures-token2", "", own.key()):
            headers = {**through, "Authorization": f"Bearer {wrong}".strip()}
            assert client.get("/metrics", headers=headers).status_code == 401


def test_figures_can_be_switched_off(home: Path) -> None:
    with RunningServer(home, more="[metrics]\nenabled = false\n") as own:
        assert own.anonymous().get("/metrics").status_code == 404


def test_figures_move(server: RunningServer) -> None:
    client = server.client()
    before = figures(server)
    assert chat(client, "twelve chars").status_code == 200
    assert chat(client, script={"fault": {"kind": "status", "status": 500}}).status_code == 502
    assert client.get("/v1/nonesuch").status_code == 404
    after = figures(server)

    def moved(name: str) -> float:
        return after.get(name, 0.0) - before.get(name, 0.0)

    assert moved('tertulia_generations_total{model="echo",outcome="completed",provider="up"}') == 1
    assert moved('tertulia_generations_total{model="echo",outcome="failed",provider="up"}') == 1
    assert moved('tertulia_requests_total{face="OpenAI",route="/v1/chat/completions",status="200"}') == 1
    assert moved('tertulia_requests_total{face="OpenAI",route="/v1/chat/completions",status="502"}') == 1
    assert moved('tertulia_requests_total{face="",route="unknown",status="404"}') == 1
    assert moved('tertulia_tokens_total{kind="completion"}') == 3
    assert moved("tertulia_generation_seconds_count") == 2
    assert moved("tertulia_first_token_seconds_count") == 1
    assert moved('tertulia_request_seconds_count{face="OpenAI",route="/v1/chat/completions"}') == 2
    assert moved('tertulia_commit_seconds_count{durable="full"}') >= 2


def test_the_figure_of_what_waits_now(server: RunningServer) -> None:
    body = {"model": "narrow/echo", "messages": [{"role": "user", "content": "x"}], "stream": True}
    slow: Any = {"script": {"reply": "a b c d " * 50, "pace_ms": 50}}
    level = 'tertulia_queue_waiting{level="normal"}'
    client = server.client()
    with client.stream("POST", "/v1/chat/completions", json=body | slow) as running:
        lines = running.iter_lines()  # kept: an iterator that is dropped closes its stream
        next(lines)
        with client.stream("POST", "/v1/chat/completions", json=body) as waiting:
            others = waiting.iter_lines()
            next(others)
            assert figures(server)[level] == 1
    wait_for(lambda: figures(server)[level] == 0)


@pytest.mark.promise(38)
def test_callers_cannot_make_up_figures(server: RunningServer) -> None:
    """Names that a caller chooses must not become labels without end."""
    client = server.client()
    for n in range(120):
        chat(client, model=f"up/made-up-{n}", script={"fault": {"kind": "status", "status": 404}})
        client.get(f"/v1/made-up-{n}")
    assert sum("made-up" in name for name in figures(server)) < 110


def test_the_description_is_of_every_route_and_for_the_signed_in(server: RunningServer) -> None:
    assert server.anonymous().get("/openapi.json").status_code == 401
    answer = server.client().get("/openapi.json")
    document = answer.json()
    assert document["openapi"].startswith("3.1")
    assert {"/v1/chat/completions", "/v1/models", "/api/generations/{id}/events", "/api/health"} <= document[
        "paths"
    ].keys()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            assert operation["responses"], (method, path)
    _require_references(document)
    page = server.client().get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert not re.search(r"<script|https?://(?!127\.0\.0\.1)", page.text)
    assert "/v1/chat/completions" in page.text


def _require_references(document: dict[str, Any]) -> None:
    """Everything that the document points at is in it."""
    schemas = document["components"]["schemas"]
    for name in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)):
        assert name in schemas
