"""Values as Postgres sends them, in binary, and as the rest of the product sees them: like SQLite's."""

import struct
from collections.abc import Callable
from typing import Any, Final

from psycopg.pq.abc import PGresult

from tertulia.storage.writer import Row, StorageRejected

Decode = Callable[[bytes], Any]


def rows_of(result: PGresult) -> list[Row]:
    """Decode a result; raises `StorageRejected` for a column of a type that storage does not know."""
    value = result.get_value
    columns = [(place, _decoder(result.ftype(place))) for place in range(result.nfields)]
    return [
        tuple(None if (raw := value(row, place)) is None else decode(raw) for place, decode in columns)
        for row in range(result.ntuples)
    ]


def _decoder(oid: int) -> Decode:
    decode = _DECODERS.get(oid)
    if decode is None:
        raise StorageRejected(f"A statement gives a column of a type that storage does not read (OID {oid}).")
    return decode


def _whole(raw: bytes) -> int:
    return int.from_bytes(raw, "big", signed=True)


def _real(raw: bytes) -> float:
    number: float = struct.unpack("!d" if len(raw) == 8 else "!f", raw)[0]
    return number


def _jsonb(raw: bytes) -> str:
    return raw[1:].decode()  # behind a version byte, 1


def _truth(raw: bytes) -> int:
    return raw[0]


def _numeric(raw: bytes) -> int | float:
    """A sum of integers is an `int`, what shows places after the point a `float`, as on SQLite.

    Four 16-bit fields (count of digits, weight of the first, sign, digits shown after the point), then the digits to
    base 10,000.
    """
    count, weight, sign, scale = struct.unpack_from("!HhHH", raw)
    if sign not in (0x0000, 0x4000):
        return {0xD000: float("inf"), 0xF000: float("-inf")}.get(sign, float("nan"))
    digits = struct.unpack_from(f"!{count}H", raw, 8)
    number = 0
    for digit in digits:
        number = number * 10_000 + digit
    if sign:
        number = -number
    power = weight - count + 1
    if scale == 0:
        return number * 10_000**power if power >= 0 else number // 10_000**-power
    return float(f"{number}e{power * 4}")


_DECODERS: Final[dict[int, Decode]] = {
    16: _truth,
    17: bytes,
    19: bytes.decode,
    20: _whole,
    21: _whole,
    23: _whole,
    25: bytes.decode,
    26: int.from_bytes,
    114: bytes.decode,
    700: _real,
    701: _real,
    1042: bytes.decode,
    1043: bytes.decode,
    1700: _numeric,
    2950: bytes,
    3802: _jsonb,
}
"""By type OID (pg_type.dat): bool, bytea, name, int8, int2, int4, text, oid, json, floats, char, varchar, numeric, …"""
