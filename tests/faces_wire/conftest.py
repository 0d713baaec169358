"""What the tests of the dialects share."""

from collections.abc import Iterator

import pytest

from tests.faces_wire.frames import Wire


@pytest.fixture(scope="session")
def wire() -> Iterator[Wire]:
    """The official SDKs, on a transport of ours."""
    found = Wire()
    yield found
    found.openai.close()
