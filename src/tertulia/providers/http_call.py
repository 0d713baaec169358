"""One call on its way over HTTP."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from tertulia.net.transport import Exchange, TransportError
from tertulia.providers.failures import failure_of_transport, unreadable
from tertulia.providers.port import Decoder, Dialect, Failure, Finished, Said, Sink, UpstreamFault, fault
from tertulia.providers.redaction import Scrub
from tertulia.turn.events import UsageSeen
from tertulia.turn.request import Request

ERROR_BYTES: Final = 64 * 1024
_DRAIN_S: Final = 2.0
_STREAMS: Final = ("text/event-stream", "application/x-ndjson", "application/jsonl")

_log = structlog.get_logger("tertulia.providers")


class HttpCall:
    """A call on its way: what the transport pushes goes through the decoder to the sink, in the same breath."""

    __slots__ = (
        "_answering",
        "_decoder",
        "_dialect",
        "_draining",
        "_error",
        "_error_bytes",
        "_exchange",
        "_headers",
        "_over",
        "_request",
        "_scrub",
        "_sink",
        "_status",
        "dropped",
    )

    def __init__(self, dialect: Dialect, request: Request, sink: Sink, scrub: Scrub) -> None:
        self._dialect = dialect
        self._request = request
        self._sink = sink
        self._scrub = scrub
        self._decoder: Decoder | None = None
        self._exchange: Exchange | None = None
        self._draining: asyncio.TimerHandle | None = None
        self._status = 0
        self._headers: Mapping[str, str] = {}
        self._error: list[bytes] = []
        self._error_bytes = 0
        self._over = False
        self.dropped: tuple[str, ...] = ()

    def begin(self, exchange: Exchange, dropped: tuple[str, ...]) -> None:
        """Take the exchange that carries the call."""
        self._exchange = exchange
        self.dropped = dropped

    def refuse(self, failure: Failure) -> None:
        """End the call before it was sent, soon."""
        asyncio.get_running_loop().call_soon(self._end, failure)

    def abort(self) -> None:
        """Close the connection at once (see `Call`)."""
        if self._over:
            return
        self._over = True
        if self._exchange is not None:
            self._exchange.abort()
        asyncio.get_running_loop().call_soon(self._aborted)

    def pause(self) -> None:
        """Stop reading (see `Call`)."""
        if self._exchange is not None and not self._over:
            self._exchange.pause()

    def resume(self) -> None:
        """Read on (see `Call`)."""
        if self._exchange is not None:
            self._exchange.resume()

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the head of the answer (see `Receiver`)."""
        self._status, self._headers = status, headers
        if 200 <= status < 300:
            self._decoder = self._dialect.decoder(self._request, streamed=self._is_stream(headers))

    def data(self, data: bytes) -> None:
        """Take bytes of the answer (see `Receiver`)."""
        if self._over:
            return
        decoder = self._decoder
        if decoder is None:
            self._keep_error(data)
            return
        try:
            said = decoder.feed(data)
        except Exception as error:  # noqa: BLE001 - a defect of a decoder must end the call, not hang it
            self._break(error)
            return
        if said:
            self._sink.events(said)
        if decoder.done and not self._over:
            self._close(None)
            self._drain()

    def end(self) -> None:
        """Take the end of the answer (see `Receiver`)."""
        if self._draining is not None:
            self._draining.cancel()
        if self._over:
            return
        if self._decoder is None:
            self._end(self._dialect.failure(self._status, self._headers, b"".join(self._error)))
        else:
            self._close(None)

    def failed(self, error: TransportError) -> None:
        """Take the end of an exchange that broke (see `Receiver`)."""
        if self._draining is not None:
            self._draining.cancel()
        if self._over:
            return
        failure = failure_of_transport(error, answering=self._status != 0)
        if self._decoder is not None:
            self._close(failure)
        elif self._status:
            self._end(self._dialect.failure(self._status, self._headers, b"".join(self._error)))
        else:
            self._end(failure)

    def _is_stream(self, headers: Mapping[str, str]) -> bool:
        """Tell by the content type what came, since some hosts answer a stream with a whole body or the reverse."""
        kind = headers.get("content-type", "").lower()
        if kind.startswith(_STREAMS):
            return True
        return self._request.stream and not kind.startswith("application/json")

    def _keep_error(self, data: bytes) -> None:
        if self._error_bytes < ERROR_BYTES:
            self._error.append(data[: ERROR_BYTES - self._error_bytes])
            self._error_bytes += len(data)

    def _close(self, failure: Failure | None) -> None:
        """End with what the decoder makes of the body's end; `failure`: why it ended, if it broke."""
        assert self._decoder is not None  # noqa: S101 - a body is closed by what reads it
        how: Finished | Failure
        try:
            said, how = self._decoder.close()
        except UpstreamFault as error:
            said, how = error.said, failure or error.failure
        except Exception as error:  # noqa: BLE001 - a defect of a decoder must end the call, not hang it
            self._break(error)
            return
        if said:
            self._sink.events(said)
        if not self._over:
            self._end(how)

    def _break(self, error: Exception) -> None:
        """End after the decoder refused to go on, and close the connection."""
        if isinstance(error, UpstreamFault):
            failure, said = error.failure, error.said
        else:
            _log.error("decoder_defect", exc_info=error)
            failure, said = unreadable("the server has a defect in reading it."), ()
        if self._exchange is not None:
            self._exchange.abort()
        if said:
            self._sink.events(said)
        if not self._over:
            self._end(failure)

    def _drain(self) -> None:
        """Let the connection come to the end of the body, so that it can be used again, but not for long."""
        if self._exchange is not None:
            self._draining = asyncio.get_running_loop().call_later(_DRAIN_S, self._exchange.abort)

    def _aborted(self) -> None:
        if counted := self._last_count():
            self._sink.events(counted)
        self._sink.ended(fault("aborted", "The call was stopped."))

    def _last_count(self) -> Sequence[Said]:
        """Give a count that the decoder still holds, so that a stopped answer is billed by what is known."""
        if self._decoder is None:
            return ()
        try:
            said, _ = self._decoder.close()
        except UpstreamFault as error:
            said = error.said
        return [one for one in said if isinstance(one, UsageSeen)]

    def _end(self, how: Finished | Failure) -> None:
        if self._over:
            return
        self._over = True
        self._sink.ended(self._scrub.failure(how) if isinstance(how, Failure) else how)
