"""What is written to a log stays data, on a terminal too."""

import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from tertulia.observability.escape import escape_fields
from tertulia.observability.log import LoggingSettings, set_up_logging

Written = Callable[[str, Callable[[], None]], str]


@pytest.fixture
def written() -> Iterator[Written]:
    """Log in a format, and give what came out; afterwards logging is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level

    def run(form: str, act: Callable[[], None]) -> str:
        stream = io.StringIO()
        writer = set_up_logging(LoggingSettings(format=form), stream)  # type: ignore[arg-type]
        act()
        writer.close()
        return stream.getvalue()

    yield run
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


EVIL = "a\x1b]0;owned\x07\r\nfake line\x9b2J\u202e"


def test_a_terminal_gets_no_control_characters_of_a_value(written: Written) -> None:
    plain = written("console", lambda: structlog.get_logger().info("it", path="a", inner={"b": ["a"]}))
    out = written("console", lambda: structlog.get_logger().info("it", path=EVIL, inner={EVIL: [EVIL]}))
    assert out.count("\n") == 1
    assert not set("\x07\r\x9b\u202e") & set(out)
    assert out.count("\x1b") == plain.count("\x1b")  # the colours alone
    assert "\\x1b]0;owned" in out


def test_what_libraries_log_is_escaped_too(written: Written) -> None:
    out = written("console", lambda: logging.getLogger("lib").warning("bad path %s", EVIL))
    assert out.count("\n") == 1
    assert "\x1b]0" not in out


def test_a_traceback_keeps_its_lines_and_nothing_else(written: Written) -> None:
    def broken() -> None:
        raise ValueError(EVIL)

    def fail() -> None:
        try:
            broken()
        except ValueError:
            structlog.get_logger().exception("it_broke")

    out = written("console", fail)
    assert out.count("\n") > 3
    assert "Traceback" in out
    assert "\x1b]0" not in out
    assert not set("\x07\r\x9b\u202e") & set(out)


def test_json_holds_the_value_itself_on_one_line(written: Written) -> None:
    out = written("json", lambda: structlog.get_logger().info("it", path=EVIL))
    assert out.count("\n") == 1
    assert json.loads(out)["path"] == EVIL


@given(st.text())
def test_what_is_printable_is_left_alone(text: str) -> None:
    escaped = escape_fields({"value": text})["value"]
    assert not any(ord(each) < 0x20 or 0x7F <= ord(each) < 0xA0 for each in escaped)
    if text.isprintable():
        assert escaped == text
