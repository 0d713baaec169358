"""Events as bytes: what was written is read, anything else is a typed error."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.kernel.errors import TertuliaError
from tertulia.turn.codec import VERSION, UnreadableLog, decode_events, encode_events
from tertulia.turn.events import Ended, Event, Started, Text
from tests.turn.logs import LOGS


@given(LOGS)
def test_what_was_written_is_read(log: list[Event]) -> None:
    assert decode_events(encode_events(log)) == log


@given(LOGS, st.integers(0, 20))
def test_a_log_may_be_cut_into_rows_anywhere(log: list[Event], cut: int) -> None:
    rows = [encode_events(log[:cut]), encode_events(log[cut:])]
    assert [event for row in rows for event in decode_events(row)] == log


@pytest.mark.parametrize("version", [version for version in range(256) if version != VERSION])
def test_another_version_is_refused_by_name(version: int) -> None:
    data = bytes((version,)) + encode_events([Text("x")])[1:]
    with pytest.raises(UnreadableLog, match=rf"has version {version}; this server reads version {VERSION}"):
        decode_events(data)


def test_nothing_is_no_log() -> None:
    with pytest.raises(UnreadableLog, match="has version nothing"):
        decode_events(b"")


@pytest.mark.promise(38)
@given(LOGS, st.data())
def test_damaged_bytes_are_a_typed_error_or_events(log: list[Event], data: st.DataObject) -> None:
    whole = bytearray(encode_events(log))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        found = decode_events(damaged)
    except TertuliaError as error:
        assert error.code == "internal"  # noqa: PT017 - it may also be read
    else:
        assert all(isinstance(event, msgspec.Struct) for event in found)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_typed_error_or_events(data: bytes) -> None:
    try:
        decode_events(bytes((VERSION,)) + data)
    except UnreadableLog as error:
        assert "damaged" in error.message  # noqa: PT017


@pytest.mark.parametrize(
    "data",
    [
        b"\x81" * 100_000,  # maps within maps
        b"\x91" * 100_000,  # lists within lists
        b"\xdd\xff\xff\xff\xff",  # a list of four thousand million entries, and none there
        b"\xc6\xff\xff\xff\xff",  # a text of as many bytes
        b"\x91\x92\xa1t\xc1",  # a byte that means nothing
        b"\x91\x92\xa1t\xa1\xff",  # a text that is no UTF-8
        b"\x91\x92\xa1?\xa1x",  # a kind that is none
        b"\x91\x93\xa1o\x81\xa1a" + b"\x91" * 100_000 + b"\xc0\xa1w",  # depth where anything may stand
        b"\x90trailing",
    ],
)
@pytest.mark.promise(38)
def test_hostile_bytes_are_a_typed_error(data: bytes) -> None:
    with pytest.raises(UnreadableLog, match="damaged"):
        decode_events(bytes((VERSION,)) + data)


def test_rows_of_an_earlier_version_with_fewer_fields_are_read() -> None:
    """Fields are added at the end with a default: what was written before them stays readable."""
    data = bytes((VERSION,)) + msgspec.msgpack.encode([["s", "id", "m", 1], ["t", "hello"], ["e", "completed"]])
    assert decode_events(data) == [Started("id", "m", 1), Text("hello"), Ended("completed")]
