"""What the scripted upstream was last asked."""

from typing import Any

import httpx2

from tests.running import FakeUpstream


def last_asked(upstream: FakeUpstream) -> dict[str, Any]:
    """The body of the newest request."""
    return _last(upstream)["body"]


def last_headers(upstream: FakeUpstream) -> dict[str, str]:
    """The headers of the newest request, by lower-case names."""
    return _last(upstream)["headers"]


def _last(upstream: FakeUpstream) -> dict[str, Any]:
    return httpx2.get(f"{upstream.url}/last").json()
