"""What was acknowledged is there after the plug was pulled (promise 1; Architecture, invariant 5)."""

import hashlib
import os
import random
import sqlite3
import threading
from pathlib import Path

import httpx2
import pytest

from tests.running import FakeUpstream, RunningServer, chat

KILLS = 4


@pytest.mark.slow
@pytest.mark.promise(1)
def test_every_2xx_survives_a_kill(home: Path, upstream: FakeUpstream) -> None:
    seed = int(os.environ.get("TERTULIA_TEST_SEED", random.randrange(1 << 30)))
    print(f"seed {seed}")
    dice = random.Random(seed)
    acknowledged: dict[str, str] = {}
    with RunningServer(home, upstream=upstream.url) as own:
        for _ in range(KILLS):
            stop = threading.Event()
            posting = [threading.Thread(target=_post, args=(own.client(), acknowledged, stop)) for _ in range(4)]
            for thread in posting:
                thread.start()
            stop.wait(dice.uniform(0.2, 0.8))
            own.process.process.kill()  # type: ignore[union-attr]
            stop.set()
            for thread in posting:
                thread.join(30)
            own.restart()
    assert len(acknowledged) > 20
    rows = sqlite3.connect(home / "tertulia.db")
    stored = {
        key.hex(): (hashlib.sha256(parts.encode()).hexdigest(), status)
        for key, parts, status in rows.execute("SELECT id, parts, status FROM message WHERE role = 'assistant'")
    }
    running = rows.execute("SELECT count(*) FROM generation WHERE state IN ('queued', 'running')").fetchone()[0]
    twice = rows.execute("SELECT count(*) - count(DISTINCT id) FROM usage").fetchone()[0]
    open_messages = rows.execute("SELECT count(*) FROM message WHERE status = 'streaming'").fetchone()[0]
    rows.close()
    assert (running, twice, open_messages) == (0, 0, 0)
    for message_id, text in acknowledged.items():
        wanted = hashlib.sha256(b'{"text":"%b"}' % text.encode()).hexdigest()
        assert stored[message_id.replace("-", "")] == (wanted, "complete")


def _post(client: httpx2.Client, acknowledged: dict[str, str], stop: threading.Event) -> None:
    number = 0
    while not stop.is_set():
        number += 1
        text = f"message {number} of {threading.get_ident()}"
        try:
            answer = chat(client, text, save_to_db=True)
        except (httpx2.HTTPError, RuntimeError):
            return
        if answer.status_code == 200:
            acknowledged[answer.json()["message_id"]] = text
