"""The child by itself: its handshake, what it lets out, and its end."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import aiohttp
import msgspec
import pytest

from tertulia.kernel.secret import Secret
from tertulia.providers.local.child import cores
from tertulia.providers.local.gguf import Gguf
from tertulia.providers.local.handshake import Engine, Launch, Ready, Refusal, Report
from tertulia.providers.local.process import Endpoint
from tertulia.providers.local.spawn import Child, ChildEnded, described, read_report, surroundings

MODULE = "tertulia.providers.local.child"


def launch(path: Path, **fields: object) -> Launch:
    given = {"name": "smollm2", "api_key": "canary-key", "parent": os.getpid(), "demo": True, "engine": Engine()}
    return msgspec.convert({**given, "path": str(path), **fields}, Launch, strict=False)


def by_hand(said: bytes) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([sys.executable, "-m", MODULE], input=said, capture_output=True, check=False, timeout=30)


async def test_it_says_one_line_logs_no_prompt_and_leaves_with_its_input(demo: Gguf) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", MODULE), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.write(msgspec.json.encode(launch(demo.path)) + b"\n")
    ready = msgspec.json.decode(await process.stdout.readline(), type=Ready)
    endpoint = Endpoint(f"http://127.0.0.1:{ready.port}/v1", Secret("canary-key"))
    async with aiohttp.ClientSession(headers=endpoint.headers()) as session:
        for text in ("canary-prompt", "canary-prompt " * 4000):
            body = {"messages": [{"role": "user", "content": text}], "max_tokens": 4}
            async with session.post(f"{endpoint.base_url}/chat/completions", json=body) as answer:
                assert answer.status == (200 if len(text) < 100 else 400)
                await answer.read()
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 10) == 0
    assert await process.stdout.read() == b""
    assert b"canary" not in await process.stderr.read()


def test_started_by_hand_it_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-m", MODULE], input=b"hello\n", capture_output=True, check=False, timeout=30
    )
    assert done.returncode == 2
    assert isinstance(msgspec.json.decode(done.stdout, type=Report), Refusal)


def test_whose_parent_is_gone_already_it_does_not_load(demo: Gguf) -> None:
    orphan = msgspec.json.encode(launch(demo.path, parent=2**22 + 1)) + b"\n"
    done = by_hand(orphan)
    assert (done.returncode, done.stdout) == (0, b"")


def test_it_keeps_nothing_open_of_its_parents(demo: Gguf) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    command = [sys.executable, "-m", MODULE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(launch(demo.path)) + b"\n")
        process.stdin.flush()
        assert isinstance(msgspec.json.decode(process.stdout.readline(), type=Report), Ready)
        os.close(writing)
        os.set_blocking(reading, False)
        assert os.read(reading, 1) == b""  # the end of the pipe; were it still open, there would be nothing to read yet
        os.close(reading)


async def test_a_file_that_is_no_model_is_refused_with_the_engines_reason(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    path = tmp_path / "x.gguf"
    path.write_bytes(b"nonsense" * 100)
    child = await Child.spawn(launch(path, demo=False))
    with pytest.raises(ChildEnded, match="magic"):
        await child.port(30)
    await child.end()


def test_the_key_is_not_printed() -> None:
    assert "canary-key" not in repr(launch(Path("x")))
    assert "canary-key" not in repr(Endpoint("http://127.0.0.1:1/v1", Secret("canary-key")))


def test_a_child_gets_no_secrets_of_the_environment() -> None:
    given = {"PATH": "/bin", "HOME": "/home/x", "LC_ALL": "C", "CUDA_VISIBLE_DEVICES": "0", "PYTHONPATH": "src"}
    secret = {"OPENAI_API_KEY": "canary", "TERTULIA_DATABASE_URL": "canary", "AWS_SECRET_ACCESS_KEY": "canary"}
    assert surroundings({**given, **secret}) == {**given, "GGML_NO_BACKTRACE": "1"}


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "it ended with status 0"), (-9, "it was ended by SIGKILL"), (-200, "it was ended by signal 200")],
)
def test_an_end_in_words(code: int, words: str) -> None:
    assert described(code) == words


@pytest.mark.parametrize("line", [b"", b"hello\n", b'{"type": "ready"}', b'{"type": "other", "port": 1}'])
def test_what_is_no_word_of_the_handshake_is_an_end(line: bytes) -> None:
    with pytest.raises(ChildEnded):
        read_report(line)


@pytest.mark.parametrize(
    ("quota", "most"), [("max 100000", 4096), ("100000 100000", 1), ("50000 100000", 1), ("?", 4096)]
)
def test_cores_are_those_of_the_container(tmp_path: Path, quota: str, most: int) -> None:
    path = tmp_path / "cpu.max"
    path.write_text(quota)
    assert 1 <= cores(path) <= most
    assert cores(tmp_path / "none") >= cores(path)
