"""Users: those who own things."""

import re
from contextlib import suppress
from typing import Final

import msgspec

from tertulia.identity import rows
from tertulia.identity.principal import Role
from tertulia.kernel.clock import now_us
from tertulia.kernel.errors import Invalid, Kind, TertuliaError
from tertulia.kernel.ids import new_id
from tertulia.storage.unit import Guard, Refused, Unit
from tertulia.storage.writer import Storage

ADMIN_NAME: Final = "admin"
_NAME: Final = re.compile(r"[^\s\x00-\x1f\x7f/@:][^\x00-\x1f\x7f/@:]{0,63}")


class NameTaken(TertuliaError):
    """Another user has this name or e-mail address."""

    kind = Kind.CONFLICT
    code = "name_taken"


class NoSuchUser(TertuliaError):
    """No user has this name."""

    kind = Kind.NOT_FOUND
    code = "not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"No user is called {name!r}. Make one with `tertulia user add {name}`.")


class User(msgspec.Struct, frozen=True):
    """A user, as far as most of the product needs to know."""

    id: bytes
    name: str
    role: Role


async def add_user(storage: Storage, *, name: str, role: Role = "user", email: str | None = None) -> bytes:
    """Make a user and give the id.

    Raises `Invalid` for a name that is no name, `NameTaken` where somebody has it.
    """
    if not _NAME.fullmatch(name) or name != name.strip():
        raise Invalid("A user's name is 1 to 64 characters without '/', '@', ':' and control characters.", path="name")
    if email is not None and not re.fullmatch(r"[^@\s]{1,64}@[^@\s]{1,190}", email):
        raise Invalid(f"{email!r} is not an e-mail address.", path="email")
    user_id = new_id()
    insert = rows.insert_user(user_id, name, email, role, "free", now_us(), 1)
    outcome = await storage.commit(Unit(key=user_id, guards=(Guard(insert, name="name"),), writes=(), durable=True))
    if isinstance(outcome, Refused):
        raise NameTaken(f"The name {name!r}, or the e-mail address, is taken.")
    return user_id


async def find_user(storage: Storage, name: str) -> User | None:
    """Look a user up by name."""
    found = await storage.fetch(rows.user_by_name(name))
    return User(*found[0]) if found else None


async def ensure_admin(storage: Storage) -> User:
    """Give the built-in user `admin`, made at the first start."""
    found = await find_user(storage, ADMIN_NAME)
    if found is None:
        with suppress(NameTaken):  # another process of ours may make it between the look and the insert
            await add_user(storage, name=ADMIN_NAME, role="admin")
        found = await find_user(storage, ADMIN_NAME)
    if found is None:
        raise NoSuchUser(ADMIN_NAME)
    return found
