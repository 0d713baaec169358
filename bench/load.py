"""The load generator: raw HTTP/1.1 over asyncio protocols on uvloop, in a process of its own.

It is given a plan as JSON (and the cores to keep to), prints an `Outcome` as JSON, and does three things: a closed loop
of blocking completions, one of streamed ones, and paced streams begun at a steady rate whatever the answers do.
Every answer is checked to be whole: status, text, finish, usage, `[DONE]`, and no event merged with another.
The CPU time of the system under load is read here, at the very moments between which requests are counted.
"""

import asyncio
import gc
import json
import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Final

import meter
import msgspec
import uvloop
import wire
from exchange import Exchange
from judge import Judge, Shape

STALL_MS: Final = 250
_DRAIN_S: Final = 15.0
_SETTLE_S: Final = 0.2  # what a server still does after its last answer belongs to the request


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask of whom. `pid`: the process whose CPU time counts, its children's with it."""

    shape: Shape
    port: int
    pid: int
    key: str
    model: str
    connections: int
    seconds: float = 1.2
    """Closed loop: how long new requests are begun."""
    warm_s: float = 0.3
    """Closed loop: how long they are begun before that, uncounted."""
    ramp_s: float = 1.0
    """Paced: over how long the streams begin."""
    events: int = wire.PACED_EVENTS
    pace_ms: int = wire.PACE_MS


class Spread(msgspec.Struct, frozen=True):
    """A distribution in milliseconds."""

    p50: float
    p99: float
    most: float


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a plan. `answered` counts every whole answer, `measured` those between the two looks at the CPU."""

    answered: int
    measured: int
    wall_s: float
    cpu_s: float
    latency: Spread
    first_token: Spread
    reads: float
    """In how many reads an answer came, on average: events that were sent together come together."""
    stalled: int = 0
    """Streams with a gap longer than the pace and 250 ms."""
    broken: dict[str, int] = {}
    """What was wrong with answers that were not whole, and how often."""


def spread(values: Sequence[float]) -> Spread:
    """Return median, 99th percentile (nearest rank) and maximum; of nothing: zeros."""
    if not values:
        return Spread(0.0, 0.0, 0.0)
    ordered = sorted(values)
    ranks = (ordered[math.ceil(len(ordered) * share) - 1] for share in (0.5, 0.99, 1.0))
    return Spread(*(round(value * 1000, 3) for value in ranks))


class Tally:
    """Counts answers while it is open."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self.answered = self.reads = 0
        self.latencies: list[float] = []
        self.firsts: list[float] = []
        self.broken: Counter[str] = Counter()

    def take(self, exchange: Exchange, now: float) -> bool:
        """Judge an answer and count it; False when it is broken."""
        if fault := self._judge.fault(exchange):
            self.broken[fault] += 1
            return False
        self.answered += 1
        self.reads += exchange.reads
        self.latencies.append(now - exchange.began)
        self.firsts.append(exchange.first - exchange.began)
        return True


async def connect(plan: Plan, ended: Callable[[Exchange], None]) -> list[Exchange]:
    """Open the plan's connections, a few at a time, so that no listener's backlog overflows."""
    loop = asyncio.get_running_loop()
    body = wire.question(plan.model, stream=plan.shape != "blocking")
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{plan.port}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {plan.key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    request = head.encode() + body
    exchanges: list[Exchange] = []
    while (left := plan.connections - len(exchanges)) > 0:
        calls = [
            loop.create_connection(lambda: Exchange(request, ended), "127.0.0.1", plan.port)
            for _ in range(min(left, 50))
        ]
        exchanges += [exchange for _, exchange in await asyncio.gather(*calls)]
    return exchanges


async def closed_loop(plan: Plan) -> Outcome:
    """Keep one request under way on every connection for the plan's time."""
    tally = Tally(Judge(plan.shape, plan.events))
    until = 0.0
    idle = asyncio.Event()
    under_way = 0

    def ended(exchange: Exchange) -> None:
        nonlocal under_way
        now = perf_counter()
        if tally.take(exchange, now) and now < until:
            exchange.send()
            return
        under_way -= 1
        if not under_way:
            idle.set()

    async def run(seconds: float) -> None:
        nonlocal until, under_way
        idle.clear()
        until, under_way = perf_counter() + seconds, len(exchanges)
        for exchange in exchanges:
            exchange.send()
        await _in_time(idle, seconds + _DRAIN_S)

    exchanges = await connect(plan, ended)
    await run(plan.warm_s)
    warm = tally.answered
    tally.latencies.clear()
    tally.firsts.clear()
    cpu, began = meter.cpu_seconds(plan.pid), perf_counter()
    await run(plan.seconds)
    wall = perf_counter() - began
    await asyncio.sleep(_SETTLE_S)
    return _outcome(tally, exchanges, measured=tally.answered - warm, wall=wall, cpu=meter.cpu_seconds(plan.pid) - cpu)


async def paced(plan: Plan) -> Outcome:
    """Begin one stream on every connection, evenly over the ramp, and follow them all to their ends."""
    loop = asyncio.get_running_loop()
    tally = Tally(Judge(plan.shape, plan.events))
    idle = asyncio.Event()
    stalled = 0
    stall_s = (plan.pace_ms + STALL_MS) / 1000
    ended_streams: list[tuple[Exchange, float]] = []

    def ended(exchange: Exchange) -> None:
        ended_streams.append(
            (exchange, perf_counter())
        )  # judged afterwards: judging takes time from those still running
        if len(ended_streams) == plan.connections:
            idle.set()

    exchanges = await connect(plan, ended)
    cpu, began = meter.cpu_seconds(plan.pid), perf_counter()
    for n, exchange in enumerate(exchanges):
        loop.call_later(plan.ramp_s * n / plan.connections, exchange.send)
    await _in_time(idle, plan.ramp_s + plan.events * plan.pace_ms / 1000 + _DRAIN_S)
    wall = perf_counter() - began
    await asyncio.sleep(_SETTLE_S)
    cpu = meter.cpu_seconds(plan.pid) - cpu
    for exchange, at in ended_streams:
        stalled += exchange.gap > stall_s
        tally.take(exchange, at)
    return _outcome(tally, exchanges, measured=tally.answered, wall=wall, cpu=cpu, stalled=stalled)


async def _in_time(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return  # what is still waiting is counted as broken by `_outcome`


def _outcome(
    tally: Tally, exchanges: Sequence[Exchange], *, measured: int, wall: float, cpu: float, stalled: int = 0
) -> Outcome:
    if unanswered := sum(exchange.waiting for exchange in exchanges):
        tally.broken[f"no answer within {_DRAIN_S:.0f} s"] += unanswered
    for exchange in exchanges:
        exchange.waiting = False
        exchange.transport.abort()
    return Outcome(
        answered=tally.answered,
        measured=measured,
        wall_s=round(wall, 4),
        cpu_s=round(cpu, 4),
        latency=spread(tally.latencies),
        first_token=spread(tally.firsts),
        reads=round(tally.reads / tally.answered, 2) if tally.answered else 0.0,
        stalled=stalled,
        broken=dict(tally.broken),
    )


if __name__ == "__main__":
    asked = msgspec.json.decode(sys.argv[1], type=Plan)
    if len(sys.argv) > 2:
        os.sched_setaffinity(0, [int(core) for core in sys.argv[2].split(",")])
    gc.freeze()
    gc.disable()
    outcome = uvloop.run(paced(asked) if asked.shape == "paced" else closed_loop(asked))
    print(json.dumps(msgspec.to_builtins(outcome)))
