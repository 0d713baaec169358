"""What is kept of credentials, and when it is dropped."""

import asyncio
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from tertulia.identity.authenticate import Credentials
from tertulia.identity.principal import Unauthenticated
from tertulia.identity.users import User
from tertulia.kernel.clock import now_us
from tertulia.kernel.secret import Secret

ADMIN = User(b"a" * 16, "admin", "admin")


class Table:
    """Rows of keys by digest, behind the one method of storage that is wanted here; `gate` holds reads up."""

    def __init__(self) -> None:
        self.rows: dict[bytes, tuple[Any, ...]] = {}
        self.reads = 0
        self.gate: asyncio.Event | None = None

    def add(self, key: str, *, role: str = "user", scopes: str = '["chat","read"]', **times: Any) -> None:
        ends = (times.get("expires"), times.get("revoked"))
        row = (b"u" * 16, "alice", role, times.get("disabled"), b"k" * 16, scopes, *ends)
        self.rows[sha256(key.encode()).digest()] = row

    async def fetch(self, bound: Any) -> list[tuple[Any, ...]]:
        self.reads += 1
        found = self.rows.get(bound.values[0])
        if self.gate is not None:
            await self.gate.wait()
        return [found] if found else []


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def credentials(table: Table) -> Credentials:
    storage: Any = table
    return Credentials(storage, admin=ADMIN, admin_key=Secret("the-admin-key"))


async def code_of(credentials: Credentials, key: str) -> str:
    with pytest.raises(Unauthenticated) as refused:
        await credentials.authenticate(key)
    return refused.value.code


async def test_a_key_is_read_once(table: Table, credentials: Credentials) -> None:
    table.add("key")
    assert credentials.cached("key") is None
    found = await credentials.authenticate("key")
    assert (found.name, found.role, found.scopes) == ("alice", "user", {"chat", "read"})
    assert credentials.cached("key") is found
    assert table.reads == 1
    credentials.forget()
    assert credentials.cached("key") is None


async def test_what_is_unknown_is_not_kept(table: Table, credentials: Credentials) -> None:
    for n in range(50):
        assert await code_of(credentials, f"guess-{n}") == "invalid_credential"
    assert credentials.cached("guess-1") is None
    assert not credentials._kept


@pytest.mark.parametrize(
    ("times", "code"),
    [
        ({"revoked": 1}, "invalid_credential"),
        ({"disabled": 1}, "invalid_credential"),
        ({"expires": 1}, "expired_credential"),
        ({"expires": 1, "revoked": 1}, "invalid_credential"),
    ],
)
async def test_a_right_that_is_over(table: Table, credentials: Credentials, times: dict[str, Any], code: str) -> None:
    table.add("key", **times)
    assert await code_of(credentials, "key") == code


async def test_a_key_that_is_kept_still_expires(table: Table, credentials: Credentials) -> None:
    table.add("key", expires=now_us() + 30_000)
    await credentials.authenticate("key")
    assert credentials.cached("key") is not None
    await asyncio.sleep(0.04)
    assert credentials.cached("key") is None
    assert await code_of(credentials, "key") == "expired_credential"


@pytest.mark.promise(34)
async def test_what_was_read_before_a_change_is_not_kept_after_it(table: Table, credentials: Credentials) -> None:
    """The row is read, the key revoked and the caches dropped, and only then the reader goes on."""
    table.add("key")
    table.gate = asyncio.Event()
    asking = asyncio.create_task(credentials.authenticate("key"))
    await asyncio.sleep(0)
    table.add("key", revoked=1)
    credentials.forget()
    table.gate.set()
    await asking
    assert credentials.cached("key") is None
    assert await code_of(credentials, "key") == "invalid_credential"


@pytest.mark.promise(34)
@pytest.mark.parametrize(
    ("role", "left"),
    [
        ("user", {"chat"}),
        ("supervisor", {"chat", "supervise", "priority:high"}),
        ("admin", {"chat", "supervise", "priority:high", "admin"}),
    ],
)
async def test_a_key_may_never_more_than_its_owner_now(
    table: Table, credentials: Credentials, role: str, left: set[str]
) -> None:
    table.add("key", role=role, scopes='["chat","supervise","priority:high","admin","made-up"]')
    assert (await credentials.authenticate("key")).scopes == left


async def test_the_admin_key_needs_no_row(table: Table, credentials: Credentials) -> None:
    found = await credentials.authenticate("the-admin-key")
    assert (found.user_id, found.role, table.reads) == (ADMIN.id, "admin", 0)
    assert found.key_id is None


async def test_memory_is_bounded(table: Table, credentials: Credentials) -> None:
    for n in range(10_050):
        table.add(f"key-{n}")
        await credentials.authenticate(f"key-{n}")
    assert len(credentials._kept) == 10_000
    assert credentials.cached("key-10049") is not None


@pytest.mark.parametrize("make", [lambda: "x" * 9000, lambda: "\ud800" * 3000])
async def test_a_monster_is_no_credential(credentials: Credentials, table: Table, make: Callable[[], str]) -> None:
    assert await code_of(credentials, make()[:9000]) == "invalid_credential"
