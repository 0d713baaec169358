"""A real server, and a real upstream, each in a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import httpx2

CONFIGURATION = """
default_model = "up/echo"

[[providers]]
name = "up"
kind = "openai"
base_url = "{upstream}"
timeout_s = {timeout_s}

[[providers]]
name = "fake"
kind = "scripted"

[[providers]]
name = "narrow"
kind = "scripted"
max_concurrent = 1

[[providers]]
name = "nobody"
kind = "openai"
base_url = "http://127.0.0.1:9/v1"
models = ["m"]

[[providers]]
name = "strict"
kind = "scripted"
models = ["echo"]
strict_models = true

[aliases]
fast = ["up/echo"]
careful = ["nobody/m", "up/echo"]

[prices."up/echo"]
prompt = "0.5"
completion = "1.5"

[streaming]
heartbeat_s = 0.3

[local_model]
enabled = false
{more}
"""


class Process:
    """A program of ours that says on standard output where it listens."""

    def __init__(self, *arguments: str, environment: dict[str, str] | None = None) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("TERTULIA_", "OPENAI_"))}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tertulia", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean | (environment or {}),
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        if found is None:
            self.process.wait(10)
            assert self.process.stderr is not None
            raise RuntimeError(line + self.process.stderr.read())
        self.url = found[0]

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self, how: signal.Signals = signal.SIGTERM, within: float = 30) -> tuple[str, str]:
        """End it, and give what it had written."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.communicate(timeout=within)


class FakeUpstream:
    """`tertulia dev upstream`."""

    def __enter__(self) -> Self:
        self._process = Process("dev", "upstream", "--port", "0")
        self.url = self._process.url
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop(signal.SIGKILL)

    def counts(self) -> dict[str, int]:
        return httpx2.get(f"{self.url}/counts").json()


class RunningServer:
    """`tertulia serve` on a home; may be killed and started again."""

    def __init__(
        self,
        home: Path,
        *,
        upstream: str = "http://127.0.0.1:9/v1",
        database_url: str = "",
        more: str = "",
        timeout_s: float = 5,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.home = home
        home.mkdir(exist_ok=True)
        configuration = CONFIGURATION.format(upstream=upstream, timeout_s=timeout_s, more=more)
        (home / "tertulia.toml").write_text(configuration)
        self.environment = {"TERTULIA_ADMIN_API_KEY": "the-admin-key", **(environment or {})}
        if database_url:
            self.environment["TERTULIA_DATABASE_URL"] = database_url
            self.cli("migrate")
        self._keys: dict[str, str] = {}
        self._clients: list[httpx2.Client] = []
        self.process: Process | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._close_clients()
        if self.process is not None:
            self.process.stop(signal.SIGKILL)

    def _close_clients(self) -> None:
        while self._clients:
            self._clients.pop().close()

    def start(self) -> None:
        self.process = Process("serve", "--home", str(self.home), "--port", "0", environment=self.environment)

    def kill(self) -> None:
        """Pull the plug."""
        assert self.process is not None
        self._close_clients()
        self.process.stop(signal.SIGKILL)

    def restart(self) -> None:
        self.kill()
        self.start()

    @property
    def url(self) -> str:
        assert self.process is not None
        return self.process.url

    def cli(self, *arguments: str, code: int = 0) -> str:
        """Run a command beside the server."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TERTULIA_")}
        done = subprocess.run(
            [sys.executable, "-m", "tertulia", *arguments, "--home", str(self.home)],
            check=False,
            capture_output=True,
            text=True,
            env=clean | self.environment,
            timeout=60,
        )
        assert done.returncode == code, done.stderr + done.stdout
        return done.stdout if code == 0 else done.stderr

    def key(self, user: str = "alice", *scopes: str, role: str = "user") -> str:
        """Make a user and a key, once."""
        name = " ".join((user, *scopes))
        if name not in self._keys:
            if user not in {known.partition(" ")[0] for known in self._keys}:
                self.cli("user", "add", user, "--role", role)
            asked = [part for scope in scopes for part in ("--scope", scope)]
            self._keys[name] = self.cli("key", "create", "--user", user, *asked).strip()
        return self._keys[name]

    def client(self, user: str = "alice", *scopes: str, role: str = "user") -> httpx2.Client:
        """An HTTP client with a user's key."""
        headers = {"Authorization": f"Bearer {self.key(user, *scopes, role=role)}"}
        return self._client(headers)

    def admin(self) -> httpx2.Client:
        return self._client({"X-API-Key": "the-admin-key"})

    def anonymous(self) -> httpx2.Client:
        return self._client({})

    def _client(self, headers: dict[str, str]) -> httpx2.Client:
        made = httpx2.Client(base_url=self.url, headers=headers, timeout=30)
        self._clients.append(made)
        return made


def chat(client: httpx2.Client, text: str = "hello", **fields: Any) -> httpx2.Response:
    """Ask for a completion."""
    body = {"model": "up/echo", "messages": [{"role": "user", "content": text}], **fields}
    return client.post("/v1/chat/completions", json=body)


def frames(text: str) -> list[dict[str, Any]]:
    """Read an SSE body: a dict for each frame, with `data` decoded where it is JSON."""
    found: list[dict[str, Any]] = []
    for block in text.split("\n\n"):
        frame: dict[str, Any] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            if name:
                frame[name] = value.removeprefix(" ")
        if "data" in frame:
            if frame["data"] != "[DONE]":
                frame["data"] = json.loads(frame["data"])
            found.append(frame)
    return found


def texts(found: list[dict[str, Any]]) -> str:
    """Join the text of a stream's frames."""
    return "".join(
        choice["delta"].get("content") or ""
        for frame in found
        if isinstance(frame["data"], dict)
        for choice in frame["data"].get("choices", ())
    )


def wait_for(condition: Any, within: float = 5.0) -> Any:
    """Ask again until the answer is true; for what another process does in its own time."""
    deadline = time.monotonic() + within
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"it did not happen within {within} s")
        time.sleep(0.02)
    return answer
