"""Times as text: the formats of moment.js in English, and its way of saying how long something was."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_DAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_LONG: Final = {
    "LTS": "h:mm:ss A", "LT": "h:mm A", "LLLL": "dddd, MMMM D, YYYY h:mm A", "LLL": "MMMM D, YYYY h:mm A",
    "LL": "MMMM D, YYYY", "L": "MM/DD/YYYY", "llll": "ddd, MMM D, YYYY h:mm A", "lll": "MMM D, YYYY h:mm A",
    "ll": "MMM D, YYYY", "l": "M/D/YYYY",
}  # fmt: skip
_LONG_TOKEN: Final = re.compile(r"\[[^\]]*\]|LTS|LT|LL?L?L?|l{1,4}")
_TOKEN: Final = re.compile(
    r"\[([^\]]*)\]|Mo|MM?M?M?|Do|DDDo|DD?D?D?|do|dd?d?d?|[wW]o|ww?|WW?|Qo?|YYYYYY|YYYY|YY|Y|GGGG|GG|gggg|gg|"
    r"HH?|hh?|kk?|mm?|ss?|S{1,9}|a|A|ZZ?|X|x|E|e"
)
_ISO: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


def moment_format(at: datetime, form: str) -> str:
    """Write a time (with its zone) in a format of moment.js, in English; `[…]` is taken as it is."""
    form = _LONG_TOKEN.sub(lambda found: _LONG.get(found[0], found[0]), form)
    return _TOKEN.sub(lambda found: found[0][1:-1] if found[0].startswith("[") else _written(at, found[0]), form)


def _written(at: datetime, token: str) -> str:
    if token.startswith("S"):
        return f"{at.microsecond:06d}000"[: len(token)]
    if token[-1] == "o":
        return ordinal(_NUMBERS[token[:-1]](at))
    if token in _NAMES:
        return _NAMES[token](at)
    number = _NUMBERS.get(token[:1] if token in _PADDED else token)
    return str(number(at) if number else token).rjust(_PADDED.get(token, 1), "0")


def _offset(at: datetime, colon: str) -> str:
    minutes = int((at.utcoffset() or timedelta()).total_seconds() // 60)
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}{colon}{rest:02d}"


def _saturday(at: datetime) -> datetime:
    """Give the end of the week as in the United States; its year is the week's, its week the year's."""
    return at + timedelta(days=6 - at.isoweekday() % 7)


_NUMBERS: Final[dict[str, Callable[[datetime], int]]] = {
    "M": lambda at: at.month,
    "D": lambda at: at.day,
    "DDD": lambda at: at.timetuple().tm_yday,
    "d": lambda at: at.isoweekday() % 7,
    "e": lambda at: at.isoweekday() % 7,
    "E": lambda at: at.isoweekday(),
    "w": lambda at: (_saturday(at).timetuple().tm_yday - 1) // 7 + 1,
    "W": lambda at: at.isocalendar().week,
    "Q": lambda at: (at.month + 2) // 3,
    "Y": lambda at: at.year,
    "GGGG": lambda at: at.isocalendar().year,
    "gggg": lambda at: _saturday(at).year,
    "H": lambda at: at.hour,
    "h": lambda at: at.hour % 12 or 12,
    "k": lambda at: at.hour or 24,
    "m": lambda at: at.minute,
    "s": lambda at: at.second,
    "X": lambda at: int(at.timestamp()),
    "x": lambda at: int(at.timestamp() * 1000),
}
_PADDED: Final = {"MM": 2, "DD": 2, "ww": 2, "WW": 2, "HH": 2, "hh": 2, "kk": 2, "mm": 2, "ss": 2, "YYYY": 4}
_NAMES: Final[dict[str, Callable[[datetime], str]]] = {
    "MMM": lambda at: _MONTHS[at.month - 1][:3],
    "MMMM": lambda at: _MONTHS[at.month - 1],
    "DDDD": lambda at: f"{at.timetuple().tm_yday:03d}",
    "dd": lambda at: _DAYS[at.isoweekday() % 7][:2],
    "ddd": lambda at: _DAYS[at.isoweekday() % 7][:3],
    "dddd": lambda at: _DAYS[at.isoweekday() % 7],
    "YY": lambda at: f"{at.year % 100:02d}",
    "GG": lambda at: f"{at.isocalendar().year % 100:02d}",
    "gg": lambda at: f"{_saturday(at).year % 100:02d}",
    "YYYYYY": lambda at: f"+{at.year:06d}",
    "a": lambda at: "am" if at.hour < 12 else "pm",
    "A": lambda at: "AM" if at.hour < 12 else "PM",
    "Z": lambda at: _offset(at, ":"),
    "ZZ": lambda at: _offset(at, ""),
}


def ordinal(number: int) -> str:
    """Write 1st, 2nd, 3rd, 4th."""
    teen = 10 <= number % 100 <= 20
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def parse_time(text: str, zone: datetime) -> datetime | None:
    """Read a date and time in ISO 8601; without a zone it is in that of `zone`. None for anything else."""
    try:
        at = datetime.fromisoformat(text.strip()) if _ISO.match(text.strip()) else None
    except ValueError:
        return None
    return at.replace(tzinfo=zone.tzinfo) if at is not None and at.tzinfo is None else at


def humanised(span: timedelta) -> str:
    """Say how long something was, roughly: "a few seconds", "2 hours", "a month"."""
    exact = abs(span.total_seconds())
    seconds, minutes, hours, days = (int(exact / unit + 0.5) for unit in (1, 60, 3600, 86400))
    exact_months = exact / 86400 * 4800 / 146097  # days in 400 years
    months, years = int(exact_months + 0.5), int(exact_months / 12 + 0.5)
    steps = (
        (seconds < 45, "a few seconds"),
        (minutes <= 1, "a minute"),
        (minutes < 45, f"{minutes} minutes"),
        (hours <= 1, "an hour"),
        (hours < 22, f"{hours} hours"),
        (days <= 1, "a day"),
        (days < 26, f"{days} days"),
        (months <= 1, "a month"),
        (months < 11, f"{months} months"),
        (years <= 1, "a year"),
    )
    return next((text for fits, text in steps if fits), f"{years} years")


def relative(span: timedelta) -> str:
    """Say when something is: "in 2 hours", "2 hours ago"."""
    return f"in {humanised(span)}" if span > timedelta() else f"{humanised(span)} ago"
