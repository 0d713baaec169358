"""One writer, many followers, each event encoded once (Architecture, invariants 2 and 8)."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.faces.generations.encode import EventEncoder
from tertulia.generation.encoding import Encodings
from tertulia.generation.follow import Follower
from tertulia.generation.log import InvalidEventId, Log
from tertulia.turn.events import EPOCH_BITS, Ended, Event, Started, Text
from tertulia.turn.fold import Gap


class Reader:
    """A connection in memory: takes `room` writes, then is full until it is read."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.got = b""
        self.room = self.left = room
        self.closed = False
        self._on_room: list[Callable[[], None]] = []
        self._on_gone: list[Callable[[], None]] = []

    def write(self, data: bytes) -> bool:
        assert not self.closed
        self.got += data
        self.left -= 1
        return self.left > 0

    def on_room(self, call: Callable[[], None]) -> None:
        self._on_room.append(call)

    def on_gone(self, call: Callable[[], None]) -> None:
        self._on_gone.append(call)

    def close(self) -> None:
        self.closed = True

    def drain(self) -> None:
        self.left = self.room
        for call in self._on_room:
            call()

    def leave(self) -> None:
        for call in self._on_gone:
            call()


class Counting:
    """An encoder that counts what it is asked for."""

    heartbeat = b": \n\n"
    done = b"[DONE]"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def entry(self, number: int, event: Event) -> bytes:
        self.asked.append(number)
        return b"%d;" % number

    def gap(self, gap: Gap) -> bytes:
        return b"gap;"


def started() -> Started:
    return Started("00000000-0000-7000-8000-000000000000", "m", 0)


@pytest.mark.promise(13)
async def test_an_event_is_encoded_once_for_all_followers() -> None:
    log = Log()
    encodings = Encodings(log, 60)
    encoder = Counting()
    log.append((started(),))
    readers = [Reader() for _ in range(1000)]
    for reader in readers[:500]:
        Follower(log, encodings, push=reader, variant="x", make=lambda: encoder)
    log.append((Text("a"), Text("b")))
    for reader in readers[500:]:
        Follower(log, encodings, push=reader, variant="x", make=lambda: encoder)
    log.append((Text("c"), Ended("completed")))
    assert encoder.asked == [1, 2, 3, 4, 5]
    assert {reader.got for reader in readers} == {b"1;2;3;4;5;[DONE]"}
    assert all(reader.closed for reader in readers)
    assert encodings.dialects == 0


@pytest.mark.promise(8)
async def test_a_reader_that_does_not_read_gets_nothing_and_misses_nothing() -> None:
    log = Log()
    encodings = Encodings(log, 60)
    log.append((started(),))
    slow, quick = Reader(room=1), Reader()
    for reader in (slow, quick):
        Follower(log, encodings, push=reader, variant="x", make=Counting)
    for _ in range(100):
        log.append((Text("x"),))
    assert slow.got == b"1;"
    assert quick.got.count(b";") == 101
    log.append((Ended("completed"),))
    while not slow.closed:
        slow.drain()
    assert slow.got == quick.got


async def test_who_leaves_is_forgotten_and_the_others_go_on() -> None:
    log = Log()
    encodings = Encodings(log, 60)
    log.append((started(),))
    one, other = Reader(), Reader()
    first = Follower(log, encodings, push=one, variant="x", make=Counting)
    second = Follower(log, encodings, push=other, variant="x", make=Counting)
    one.leave()
    assert first.over.done()
    log.append((Text("a"),))
    assert (one.got, other.got) == (b"1;", b"1;2;")
    other.leave()
    assert second.over.done()
    assert encodings.dialects == 0
    log.append((Text("b"),))


async def test_a_silent_log_is_kept_alive() -> None:
    log = Log()
    encodings = Encodings(log, 0.02)
    log.append((started(),))
    reader = Reader()
    follower = Follower(log, encodings, push=reader, variant="x", make=Counting)
    async with asyncio.timeout(5):
        while reader.got.count(b": \n\n") < 3:
            await asyncio.sleep(0.01)
    follower.leave()


@given(st.lists(st.integers(1, 20), min_size=1, max_size=4), st.data())
def test_a_follower_after_k_gets_the_tail(epochs: list[int], data: st.DataObject) -> None:
    """Whatever the writers were: the tail for a number that was given, a refusal for one that never was."""
    log = Log(0)
    log.append((started(),))
    for epoch, count in enumerate(epochs):
        if epoch:
            log.take_over(epoch)
        log.append([Text("x")] * count)
    given_numbers = [log.number(n) for n in range(1, len(log.entries) + 1)]
    assert given_numbers == sorted(given_numbers)
    for n, event_id in enumerate(given_numbers, 1):
        assert log.place_after(event_id) == (n, False)
    epoch = data.draw(st.integers(0, len(epochs)))
    n = data.draw(st.integers(1, 200))
    wanted = epoch << EPOCH_BITS | n
    if wanted in given_numbers:
        return
    ends = [first - 1 for first, _ in log.epochs[1:]]
    if epoch < len(ends) and n > ends[epoch]:
        assert log.place_after(wanted) == (ends[epoch], True)  # durable up to there, then its process died
    else:
        with pytest.raises(InvalidEventId):
            log.place_after(wanted)


def test_the_bytes_of_an_answer_grow_with_its_length() -> None:
    sizes: list[int] = []
    for count in (100, 1000, 10000):
        encoder = EventEncoder("events")
        entries: list[Event] = [started(), *[Text("word ")] * count, Ended("completed")]
        sizes.append(sum(len(encoder.entry(n, event)) for n, event in enumerate(entries, 1)))
    assert sizes[2] / sizes[1] < 10.6
    assert sizes[1] / sizes[0] < 11
