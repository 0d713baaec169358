"""Times in the formats of moment.js."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.macros.moments import humanised, moment_format, ordinal, parse_time, relative

AT = datetime(2026, 3, 1, 15, 4, 5, 678_000, tzinfo=timezone(timedelta(hours=5, minutes=30)))


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("YYYY-MM-DD HH:mm:ss.SSS", "2026-03-01 15:04:05.678"),
        ("YY M D H h m s", "26 3 1 15 3 4 5"),
        ("MMM MMMM ddd dddd dd d E e", "Mar March Sun Sunday Su 0 7 0"),
        ("Do Mo Qo DDDo wo", "1st 3rd 1st 60th 10th"),
        ("DDD DDDD w ww W WW Q", "60 060 10 10 9 09 1"),
        ("A a kk", "PM pm 15"),
        ("Z ZZ", "+05:30 +0530"),
        ("X x", "1772357645 1772357645678"),
        ("LT|LTS|L|LL", "3:04 PM|3:04:05 PM|03/01/2026|March 1, 2026"),
        ("LLL|LLLL", "March 1, 2026 3:04 PM|Sunday, March 1, 2026 3:04 PM"),
        ("l|ll|lll", "3/1/2026|Mar 1, 2026|Mar 1, 2026 3:04 PM"),
        ("[Today is] dddd [LT]", "Today is Sunday LT"),
        ("gggg GGGG", "2026 2026"),
    ],
)
def test_format(form: str, expected: str) -> None:
    assert moment_format(AT, form) == expected


def test_weeks_at_the_turn_of_the_year() -> None:
    assert moment_format(datetime(2025, 12, 28, tzinfo=UTC), "gggg-ww GGGG-WW") == "2026-01 2025-52"
    assert moment_format(datetime(2025, 12, 31, tzinfo=UTC), "gggg-ww GGGG-WW") == "2026-01 2026-01"


def test_midnight_and_noon() -> None:
    assert moment_format(datetime(2026, 1, 1, 0, 5, tzinfo=UTC), "h hh k A") == "12 12 24 AM"
    assert moment_format(datetime(2026, 1, 1, 12, 5, tzinfo=UTC), "h A") == "12 PM"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "a few seconds"),
        (44, "a few seconds"),
        (45, "a minute"),
        (89, "a minute"),
        (90, "2 minutes"),
        (44 * 60, "44 minutes"),
        (45 * 60, "an hour"),
        (89 * 60, "an hour"),
        (2 * 3600, "2 hours"),
        (21 * 3600, "21 hours"),
        (22 * 3600, "a day"),
        (36 * 3600, "2 days"),
        (25 * 86400, "25 days"),
        (26 * 86400, "a month"),
        (60 * 86400, "2 months"),
        (320 * 86400, "a year"),
        (548 * 86400, "2 years"),
        (3650 * 86400, "10 years"),
    ],
)
def test_humanised(seconds: int, expected: str) -> None:
    assert humanised(timedelta(seconds=seconds)) == expected
    assert humanised(timedelta(seconds=-seconds)) == expected


def test_relative_and_ordinal_and_parsing() -> None:
    assert relative(timedelta(hours=2)) == "in 2 hours"
    assert relative(timedelta(hours=-2)) == "2 hours ago"
    assert [ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 112)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th",
    ]  # fmt: skip
    assert parse_time("2026-03-01T10:00:00", AT) == datetime(2026, 3, 1, 10, tzinfo=AT.tzinfo)
    assert parse_time("2026-03-01T10:00:00Z", AT) == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert parse_time("yesterday", AT) is None


@given(st.datetimes(timezones=st.just(UTC)), st.text(max_size=20))
def test_no_format_raises(at: datetime, form: str) -> None:
    assert isinstance(moment_format(at, form), str)
