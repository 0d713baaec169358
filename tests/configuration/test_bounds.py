"""Numbers that would let the server spin, or serve nobody, stop the start."""

from pathlib import Path

import pytest

from tertulia.app.configuration import load_settings
from tertulia.kernel.errors import TertuliaError


@pytest.mark.parametrize(
    "name",
    [
        "STREAMING__HEARTBEAT_S",
        "STREAMING__IDLE_TIMEOUT_S",
        "STREAMING__TOTAL_TIMEOUT_S",
        "STREAMING__MAX_RESPONSE_BYTES",
        "QUEUE__MAX_WAITING",
        "QUEUE__MAX_WAIT_S",
        "REQUESTS__MAX_MESSAGES",
        "REQUESTS__BODY_TIMEOUT_S",
    ],
)
@pytest.mark.parametrize("value", ["0", "-1"])
def test_nothing_of_it_is_refused_by_name(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(TertuliaError) as refused:
        load_settings(tmp_path, environment={f"TERTULIA_{name}": value})
    section, key = name.lower().split("__")
    assert f"{section}.{key}" in refused.value.message or name in refused.value.message
