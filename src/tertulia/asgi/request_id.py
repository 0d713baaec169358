"""The id that a request goes by in answers, logs and audit."""

import re
from itertools import count
from os import urandom
from typing import Final

_SANE: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_PROCESS: Final = urandom(8).hex()
_numbers = count(1)


def request_id(given: bytes | None) -> str:
    """Take over the caller's id where it is a sane one, else make one that no other process makes."""
    if given is not None and _SANE.fullmatch(given):
        return given.decode("ascii")
    return f"{_PROCESS}-{next(_numbers)}"
