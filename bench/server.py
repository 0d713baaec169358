"""Tertulia under load: everything on, one process, an ordinary user's key, a home on the disk that is measured.

"Everything on" is the law of the figures: key, rate limits, plan and quotas, moderation rules on both sides, credits
held and settled, usage and audit durable, metrics, access log. Limits are high, never off. `off` leaves parts out to
find what one of them costs; such figures meet no target.
"""

import importlib.util
import subprocess
import sys
import time
from collections.abc import Collection
from contextlib import ExitStack
from typing import Final, Literal, get_args

import evidence
import meter
import processes
import wire
from systems import Ground, System

Part = Literal["limits", "moderation", "credits", "metrics", "access"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)
NOT_BUILT: Final[frozenset[Part]] = frozenset({"limits", "moderation", "credits"})
"""What this version of the server does not have; it joins the law of the figures the day it is built."""
_PLENTY: Final = 1_000_000_000
_PREFIX: Final = "bench/"
_IDLE_S: Final = 1.0

_PROVIDER: Final = """
default_model = "bench/{instant}"

[[providers]]
name = "bench"
kind = "openai"
base_url = "http://127.0.0.1:{upstream}/v1"
api_keys = ["env:BENCH_UPSTREAM_KEY"]
models = ["{instant}", "{paced}"]

[logging]
level = "info"
format = "json"
access = {access}

[metrics]
enabled = {metrics}
"""
_LIMITS: Final = """
[limits]
enabled = true
default_plan = "bench"
global_requests_per_minute = {plenty}
ip_requests_per_minute = {plenty}
user_requests_per_minute = {plenty}
conversation_requests_per_minute = {plenty}
user_tokens_per_minute = {plenty}

[plans.bench]
requests_per_minute = {plenty}
concurrent_requests = 100000
tokens_per_minute = {plenty}
daily_messages = {plenty}
monthly_tokens = {plenty}
"""
_NO_LIMITS: Final = """
[limits]
enabled = false
"""
_MODERATION: Final = """
[moderation]
enabled = true

[[moderation.rules]]
name = "bench-input"
words = ["zyzzyva", "quixotry", "xylophagous"]
stage = "input"
action = "block"

[[moderation.rules]]
name = "bench-prompt"
pattern = "zyzzyva[0-9]{2,8}"
stage = "prompt"
action = "flag"

[[moderation.rules]]
name = "bench-output"
words = ["zyzzyva", "quixotry", "xylophagous"]
stage = "output"
action = "redact"
"""
_CREDITS: Final = """
[credits]
enforce = true

[prices."bench/{instant}"]
prompt = "0.5"
completion = "1.5"

[prices."bench/{paced}"]
prompt = "0.5"
completion = "1.5"
"""


def installed() -> bool:
    """Say whether `python -m tertulia` exists."""
    return bool(importlib.util.find_spec("tertulia") and importlib.util.find_spec("tertulia.__main__"))


def configuration(upstream_port: int, off: Collection[Part]) -> str:
    """Return `tertulia.toml`."""

    def switch(part: Part) -> str:
        return "false" if part in off else "true"

    names = {"instant": wire.INSTANT, "paced": wire.paced_model()}
    return "".join(
        (
            _PROVIDER.format(upstream=upstream_port, access=switch("access"), metrics=switch("metrics"), **names),
            _NO_LIMITS if "limits" in off else _LIMITS.format(plenty=_PLENTY),
            "" if "moderation" in off else _MODERATION,
            "" if "credits" in off else _CREDITS.format(**names),
        )
    )


class Server:
    """One home and the server over it: set up, started, measured at rest, stopped, its books read."""

    def __init__(self, ground: Ground, upstream: System, off: Collection[Part] = ()) -> None:
        self._ground = ground
        self._off = off
        self._home = ground.folder / "home"
        self._home.mkdir()
        self._config = ground.folder / "tertulia.toml"
        self._config.write_text(configuration(upstream.port, off))
        self._environment = processes.environment(
            BENCH_UPSTREAM_KEY="upstream-key", TERTULIA_LOCAL_MODEL__ENABLED="false", TERTULIA_CONFIG=str(self._config)
        )
        self._process = ExitStack()
        ground.stack.push(self._process)
        self.first_start_s = self.start_s = self.idle_mb = self.loaded_mb = 0.0
        self._before = evidence.Books()
        self._pid = 0

    def start(self) -> System:
        """Make the home and its user beside a first start; start again, which is the start that is measured."""
        self.first_start_s, _ = self._serve()
        key = self._admit_user()
        self._process.close()
        self._before = evidence.read(self._home)
        self.start_s, port = self._serve()
        time.sleep(_IDLE_S)
        self.idle_mb = self._resident_mb()
        return System(name="tertulia", port=port, pid=self._pid, key=key, prefix=_PREFIX)

    def stop(self, answered: int) -> list[evidence.Finding]:
        """Stop the server and hold its books against the answers that were counted."""
        self.loaded_mb = self._resident_mb()
        self._process.close()
        return evidence.compare(
            self._before, evidence.read(self._home), answered=answered, charged="credits" not in self._off
        )

    def _serve(self) -> tuple[float, int]:
        port = processes.free_port()
        argv = ["serve", "--home", str(self._home), "--port", str(port), "--config", str(self._config)]
        child = processes.start(
            self._process,
            "the server",
            [sys.executable, "-m", "tertulia", *argv],
            log=self._ground.folder / "server.log",
            env=self._environment,
            cores=self._ground.measured,
        )
        self._pid = child.pid
        return processes.await_ready(child, port, "/health/ready", within_s=60), port

    def _admit_user(self) -> str:
        self._command("user", "add", "bench")
        if "credits" not in self._off:
            self._command("credits", "grant", "bench", str(_PLENTY))
        return self._command("key", "create", "--user", "bench")

    def _command(self, *words: str) -> str:
        """Run a command of the server's and return what it prints; raises `StartError` with what it complains of."""
        argv = [sys.executable, "-m", "tertulia", *words, "--home", str(self._home)]
        done = subprocess.run(
            argv,
            check=False,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode:
            raise processes.StartError(f"`tertulia {' '.join(words)}` failed:\n{(done.stderr or done.stdout).strip()}")
        return done.stdout.strip()

    def _resident_mb(self) -> float:
        return meter.resident_mib(self._pid) * 1.048576
