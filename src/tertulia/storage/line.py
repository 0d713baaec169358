"""One connection to Postgres that exchanges many statements in one round trip.

psycopg connects; the talk itself is libpq's pipeline mode (PostgreSQL manual, "Pipeline Mode") driven by the loop,
because a cursor's adaptation costs 40 µs a statement where a whole durable turn should not cost much more.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from psycopg import AsyncConnection, OperationalError
from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.pq.abc import PGresult

from tertulia.storage.decode import rows_of
from tertulia.storage.form import PostgresForm
from tertulia.storage.writer import Row

_BINARY: Final = 1
_MOST_PREPARED: Final = 1000
_CONNECT_SECONDS: Final = 4


OnNotice = Callable[[int], None]
OnLost = Callable[[], None]


class LineLost(Exception):
    """The connection is gone; what was sent in the last exchange may have been done or not."""


class Fault(Exception):
    """A statement of an exchange failed, and those after it were not run."""

    def __init__(self, index: int, result: PGresult) -> None:
        super().__init__(f"statement {index} failed")
        self.index = index
        self.state = _field(result, DiagnosticField.SQLSTATE)
        self.constraint = _field(result, DiagnosticField.CONSTRAINT_NAME)
        self.message = _field(result, DiagnosticField.MESSAGE_PRIMARY)


class Query(msgspec.Struct, frozen=True):
    """A statement and its values as libpq takes them."""

    form: PostgresForm
    values: list[bytes | None] = []


class Answer:
    """What a statement came back with."""

    __slots__ = ("_result",)

    def __init__(self, result: PGresult) -> None:
        self._result = result

    @property
    def count(self) -> int:
        """Rows written, or found."""
        return self._result.command_tuples or 0

    @property
    def tag(self) -> bytes | None:
        """The command's tag, such as `COMMIT`."""
        return self._result.command_status

    def rows(self) -> list[Row]:
        """The rows found."""
        return rows_of(self._result)


class Line:
    """Made by `Line.connect`. One exchange at a time."""

    def __init__(
        self,
        connection: AsyncConnection[Any],
        patience: float | None,
        on_notice: OnNotice | None,
        on_lost: OnLost | None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._pg = connection.pgconn
        self._patience = patience
        self._heard = False
        self._watching: asyncio.TimerHandle | None = None
        self._on_notice = on_notice
        self._on_lost = on_lost
        self._prepared: dict[PostgresForm, bytes] = {}
        self._named = 0
        self._sent: deque[Query | None] = deque()
        self._answers: list[Answer] = []
        self._fault: Fault | None = None
        self._done: asyncio.Future[list[Answer]] | None = None
        self._writing = False
        self.lost = False
        self._pg.nonblocking = 1
        self._pg.enter_pipeline_mode()
        self._socket = self._pg.socket
        self._loop.add_reader(self._socket, self._readable)

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        patience: float | None = None,
        on_notice: OnNotice | None = None,
        on_lost: OnLost | None = None,
    ) -> "Line":
        """Connect; raises `LineLost`.

        `patience` is for how many seconds an exchange may go without a byte either way before the line is given up;
        `on_notice` is given the process id of each NOTIFY's sender.
        """
        try:
            connection = await AsyncConnection.connect(
                url,
                autocommit=True,
                application_name="tertulia",
                client_encoding="UTF8",
                connect_timeout=_CONNECT_SECONDS,
                tcp_user_timeout=_CONNECT_SECONDS * 1000,
            )
        except OperationalError as error:
            raise LineLost(str(error).splitlines()[0]) from None
        return cls(connection, patience, on_notice, on_lost)

    @property
    def backend(self) -> int:
        """The server's process id."""
        return self._pg.backend_pid

    async def exchange(self, queries: Sequence[Query]) -> list[Answer]:
        """Send statements at once and wait for all answers.

        Raises `Fault` for the first that failed, `LineLost`. Outside an explicit transaction all are one.
        A caller that is cancelled here must `close` the line.
        """
        if self.lost:
            raise LineLost
        done = self._done = self._loop.create_future()
        self._answers = []
        self._fault = None
        try:
            for query in queries:
                self._send(query)
            self._pg.pipeline_sync()
            self._flush()
        except OperationalError:
            self.close()
        except BaseException:
            self._done = None
            self.close()  # half a pipeline is of no use to anybody
            raise
        self._watch()
        try:
            return await done
        finally:
            if self._watching is not None:
                self._watching.cancel()

    def close(self) -> None:
        """Disconnect; an exchange under way raises `LineLost`."""
        if self.lost:
            return
        self.lost = True
        self._loop.remove_reader(self._socket)
        if self._writing:
            self._loop.remove_writer(self._socket)
        self._pg.finish()
        if self._done is not None and not self._done.done():
            self._done.set_exception(LineLost())
        if self._on_lost is not None:
            self._on_lost()

    async def abandon(self) -> None:
        """Ask the server to stop what it is doing for this line, and disconnect."""
        with contextlib.suppress(OperationalError):
            cancel = self._pg.get_cancel()
            await asyncio.to_thread(cancel.cancel)
        self.close()

    def _send(self, query: Query) -> None:
        form = query.form
        name = self._prepared.get(form)
        if name is None and len(self._prepared) < _MOST_PREPARED:
            self._named += 1
            name = self._prepared[form] = b"t%d" % self._named
            self._pg.send_prepare(name, form.sql, form.types)
            self._sent.append(None)
        if name is None:
            self._pg.send_query_params(form.sql, query.values, form.types, form.formats, _BINARY)
        else:
            self._pg.send_query_prepared(name, query.values, form.formats, _BINARY)
        self._sent.append(query)

    def _flush(self) -> None:
        unsent = bool(self._pg.flush())
        if unsent and not self._writing:
            self._loop.add_writer(self._socket, self._writable)
        elif self._writing and not unsent:
            self._loop.remove_writer(self._socket)
        self._writing = unsent

    def _watch(self) -> None:
        if self._patience is not None:
            self._heard = False
            self._watching = self._loop.call_later(self._patience, self._look)

    def _look(self) -> None:
        if self._heard:
            self._watch()
        else:
            self.close()

    def _writable(self) -> None:
        self._heard = True
        try:
            self._flush()
        except OperationalError:
            self.close()

    def _readable(self) -> None:
        self._heard = True
        try:
            self._pg.consume_input()
            self._collect()
        except OperationalError:
            self.close()
            return
        while notice := self._pg.notifies():
            if self._on_notice is not None:
                self._on_notice(notice.be_pid)

    def _collect(self) -> None:
        while self._done is not None and not self._pg.is_busy():
            result = self._pg.get_result()
            if result is None:
                continue
            if result.status == ExecStatus.PIPELINE_SYNC:
                self._finish()
            else:
                self._take(result)

    def _take(self, result: PGresult) -> None:
        query = self._sent.popleft()
        failed = result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)
        if failed and self._fault is None:
            self._fault = Fault(len(self._answers), result)
        if query is not None:
            self._answers.append(Answer(result))
        elif failed:
            self._forget()

    def _forget(self) -> None:
        """Drop the name of a statement whose preparation failed, or was skipped behind a failure."""
        following = self._sent[0]
        if following is not None:
            self._prepared.pop(following.form, None)

    def _finish(self) -> None:
        done, self._done = self._done, None
        if done is None or done.done():
            return
        if self._fault is not None:
            done.set_exception(self._fault)
        else:
            done.set_result(self._answers)


def _field(result: PGresult, field: DiagnosticField) -> str:
    return (result.error_field(field) or b"").decode(errors="replace")
