"""Logs: structured, redacted, on standard error, written by a thread of their own so that they never block."""

import logging
import queue
import sys
import threading
from collections.abc import Mapping, MutableMapping
from typing import IO, Any, Final, Literal, final

import msgspec
import structlog

from tertulia.observability.escape import escape_fields
from tertulia.observability.metrics import LOG_DROPPED
from tertulia.observability.redact import redact_fields

_MOST_WAITING: Final = 10_000


class LoggingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[logging]`. `auto` is for people on a terminal and JSON elsewhere; `access` logs each request."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"
    access: bool = True


@final
class Writer:
    """Lines on their way out: a bounded queue and the thread that writes it. A full queue drops and counts."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._queue: queue.Queue[str | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def line(self, text: str) -> None:
        """Write a line, soon."""
        try:
            self._queue.put_nowait(text)
        except queue.Full:
            LOG_DROPPED.inc()

    debug = info = warning = error = critical = exception = msg = log = line

    def close(self, within_s: float = 2.0) -> None:
        """Write what waits, for at most some seconds."""
        try:
            self._queue.put(None, timeout=within_s)
        except queue.Full:
            return
        self._thread.join(within_s)

    def _write(self) -> None:
        while (text := self._queue.get()) is not None:
            lines = [text]
            while len(lines) < 500:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    self._out(lines)
                    return
                lines.append(more)
            self._out(lines)

    def _out(self, lines: list[str]) -> None:
        try:
            self._stream.write("\n".join(lines) + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # the terminal or the pipe has gone: there is nowhere left to say so
            LOG_DROPPED.inc(len(lines))


class _ToStructlog(logging.Handler):
    """Lets what libraries log go the same way."""

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a record over."""
        logger = structlog.get_logger(record.name)
        fields: dict[str, Any] = {"exc_info": record.exc_info} if record.exc_info else {}
        logger.log(record.levelno, record.getMessage(), **fields)


def set_up_logging(settings: LoggingSettings, stream: IO[str] = sys.stderr) -> Writer:
    """Let structlog and the standard library's logging write to one place, from here on."""
    writer = Writer(stream)
    level = getattr(logging, settings.level.upper())
    pretty = settings.format == "console" or (settings.format == "auto" and stream.isatty())
    shape: Any = structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer(serializer=_json)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,  # a story is text before it is redacted, and has no variables in it
            _redacted,
            *((_escaped,) if pretty else ()),  # JSON escapes by itself
            shape,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: writer,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [_ToStructlog()]
    root.setLevel(max(level, logging.WARNING))
    return writer


def _redacted(_: Any, __: str, fields: MutableMapping[str, Any]) -> Mapping[str, Any]:
    return redact_fields(fields)


def _escaped(_: Any, __: str, fields: MutableMapping[str, Any]) -> Mapping[str, Any]:
    return escape_fields(fields)


def _json(value: Any, **_: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()
