"""One keep-alive connection of the load generator, asking the same question again and again."""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import cast

import httptools


class Exchange(asyncio.Protocol):
    """One keep-alive connection; sends the same request again and again, and reports each answer."""

    transport: asyncio.Transport

    def __init__(self, request: bytes, ended: "Callable[[Exchange], None]") -> None:
        self._request = request
        self._ended = ended
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: list[bytes] = []
        self.waiting = False
        self.failure = ""
        self.reads = 0
        self.began = self.first = self.last = self.gap = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio)."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its ancestry

    def send(self) -> None:
        """Send the request; `ended` is called with this exchange when its answer is complete or cannot come."""
        self._pieces.clear()
        self.waiting = True
        self.first = self.gap = 0.0
        self.reads = 0
        self.began = perf_counter()
        if self.transport.is_closing():
            self._fail("connection closed before the request")
        else:
            self.transport.write(self._request)

    @property
    def status(self) -> int:
        """The answer's HTTP status."""
        return self._parser.get_status_code()

    @property
    def body(self) -> bytes:
        """The answer's body, without HTTP's framing."""
        return b"".join(self._pieces)

    def data_received(self, data: bytes) -> None:
        """Parse what came (asyncio)."""
        self.reads += 1
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"not HTTP: {type(error).__name__}")
            self.transport.abort()

    def on_body(self, data: bytes) -> None:
        """Keep a piece and the time that it took to come (httptools' callback)."""
        self._pieces.append(data)
        if b'"content"' not in data:
            return
        now = perf_counter()
        if not self.first:
            self.first = now
        elif now - self.last > self.gap:
            self.gap = now - self.last
        self.last = now

    def on_message_complete(self) -> None:
        """Report the answer (httptools' callback)."""
        if self.waiting:
            self.waiting = False
            self._ended(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the exchange if its answer is still to come (asyncio)."""
        self._fail(f"connection lost: {exc}" if exc else "connection lost")

    def _fail(self, why: str) -> None:
        if self.waiting:
            self.waiting, self.failure = False, why
            self._ended(self)
