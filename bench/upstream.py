"""The mock upstream: an OpenAI-compatible host that answers as cheaply as Python can.

POST with `"stream": true` and a model named `paced-EVENTS-MS` streams at that pace, every other stream is a burst, the
rest is one JSON completion; each event is a packet and a chunk of its own, as hosts send them. GET answers a model list
and, beside it, `answered`: the completions given so far, by which the bench sees that nothing was cached or retried.

Run: python upstream.py --port 9100
"""

import argparse
import asyncio
import functools
import gc
from typing import Final, cast

import httptools
import uvloop
import wire

_JSON_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
_STREAM_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"


@functools.cache
def _paced_script(events: int) -> list[bytes]:
    """Return the writes of a paced stream; what follows the last delta leaves together with it."""
    script = [wire.chunked(frame) for frame in wire.deltas(events)]
    script[0] = _STREAM_HEAD + script[0]
    script[-1] += b"".join(wire.chunked(frame) for frame in wire.tail(events)) + _LAST_CHUNK
    return script


def _burst_script() -> list[bytes]:
    frames = [*wire.deltas(wire.BURST_DELTAS), *wire.tail(wire.BURST_DELTAS)]
    script = [wire.chunked(frame) for frame in frames]
    script[0] = _STREAM_HEAD + script[0]
    script[-1] += _LAST_CHUNK
    return script


class Wheel:
    """The one timer of all paced streams: a slot a millisecond, turned only while a stream waits in it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[int, list[Connection]] = {}
        self._reached = 0

    def now(self) -> int:
        """Return the loop's clock in whole milliseconds."""
        return int(self._loop.time() * 1000)

    def put(self, stream: "Connection", due_ms: int) -> None:
        """Have `stream.next_event()` called at `due_ms`."""
        if not self._slots:
            self._reached = self.now()
            self._loop.call_later(0.001, self._turn)
        self._slots.setdefault(max(due_ms, self._reached), []).append(stream)

    def _turn(self) -> None:
        now = self.now()
        while self._reached <= now:
            due = self._slots.pop(self._reached, None)
            self._reached += 1
            for stream in due or ():
                stream.next_event()
        if self._slots:
            self._loop.call_later(0.001, self._turn)


class Host:
    """What all connections share: the answers, ready as bytes, and the count of those given."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        answer = wire.completion()
        self.loop = loop
        self.wheel = Wheel(loop)
        self.completion = _JSON_HEAD % len(answer) + answer
        self.burst = _burst_script()
        self.answered = 0

    def models(self) -> bytes:
        """Return the answer to GET /v1/models."""
        names = (wire.INSTANT, wire.paced_model())
        data = ",".join(f'{{"id":"{name}","object":"model","created":1700000000,"owned_by":"bench"}}' for name in names)
        body = f'{{"object":"list","data":[{data}],"answered":{self.answered}}}'.encode()
        return _JSON_HEAD % len(body) + body


class Connection(asyncio.Protocol):
    """One keep-alive connection: one request at a time, as HTTP/1.1 clients send them."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._parser = httptools.HttpRequestParser(self)
        self._body: list[bytes] = []
        self._script: list[bytes] = []
        self._sent = 0
        self._due_ms = 0
        self._pace_ms = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio)."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its ancestry

    def data_received(self, data: bytes) -> None:
        """Parse what came; what is not HTTP ends the connection (asyncio)."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_message_begin(self) -> None:
        """Forget the request before (httptools' callback)."""
        self._body.clear()

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the request's body (httptools' callback)."""
        self._body.append(data)

    def on_message_complete(self) -> None:
        """Answer (httptools' callback)."""
        body = b"".join(self._body)
        if not body:
            self._transport.write(self._host.models())
            return
        self._host.answered += 1
        if b'"stream":true' not in body and b'"stream": true' not in body:
            self._transport.write(self._host.completion)
            return
        events, self._pace_ms = wire.pace_asked(body)
        self._script, self._sent = _paced_script(events) if events else self._host.burst, 0
        self._due_ms = self._host.wheel.now()
        self.next_event()

    def next_event(self) -> None:
        """Write the event that is due and arrange for the next; due times are kept from the start, without drift."""
        if self._transport.is_closing():
            return
        self._transport.write(self._script[self._sent])
        self._sent += 1
        if self._sent == len(self._script):
            return
        if self._pace_ms:
            self._due_ms += self._pace_ms
            self._host.wheel.put(self, self._due_ms)
        else:
            # Not in a loop: uvloop gathers all writes of one callback into a single packet, and hosts do not.
            self._host.loop.call_soon(self.next_event)


async def serve(port: int) -> None:
    """Listen on the loopback until the process is ended."""
    loop = asyncio.get_running_loop()
    host = Host(loop)
    server = await loop.create_server(lambda: Connection(host), "127.0.0.1", port, backlog=2048)
    gc.freeze()
    gc.disable()
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The bench's mock upstream.")
    parser.add_argument("--port", type=int, default=9100)
    uvloop.run(serve(parser.parse_args().port))
