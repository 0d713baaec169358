"""Who acts: what a credential was turned into."""

from typing import Literal, Protocol

import msgspec

from tertulia.kernel.errors import Forbidden, Kind, TertuliaError

Role = Literal["user", "supervisor", "admin"]
_RANK: dict[Role, int] = {"user": 0, "supervisor": 1, "admin": 2}


class Unauthenticated(TertuliaError):
    """No credential, one that is not known, or one whose time is over."""

    kind = Kind.UNAUTHENTICATED

    def __init__(self, code: Literal["missing_credential", "invalid_credential", "expired_credential"]) -> None:
        super().__init__(_SENTENCES[code])
        self.code = code


_SENTENCES = {
    "missing_credential": "Send an API key: `Authorization: Bearer <key>` or `X-API-Key: <key>`.",
    "invalid_credential": "This credential is not known here. Make a key with `tertulia key create --user NAME`.",
    "expired_credential": "This credential has expired. Make a new key with `tertulia key create --user NAME`.",
}


class Principal(msgspec.Struct, frozen=True):
    """A user, by one credential of his; `scopes` bound what that credential may do."""

    user_id: bytes
    name: str
    role: Role
    scopes: frozenset[str]
    key_id: bytes | None = None

    def at_least(self, role: Role) -> bool:
        """Tell whether the role includes the one named."""
        return _RANK[self.role] >= _RANK[role]

    def require_role(self, role: Role) -> None:
        """Raise `Forbidden` where the role does not include the one named."""
        if not self.at_least(role):
            raise Forbidden(f"This needs the role {role!r}; yours is {self.role!r}. Ask an admin.")

    def require_scope(self, scope: str) -> None:
        """Raise `Forbidden` where the credential was not made for this."""
        if scope not in self.scopes:
            raise Forbidden(f"This credential lacks the scope {scope!r}. Make a key with `--scope {scope}`.")


class Authenticator(Protocol):
    """Turns a credential into a principal."""

    def cached(self, credential: str) -> Principal | None:
        """Answer from memory, without waiting; None when it is not there."""
        ...

    async def authenticate(self, credential: str) -> Principal:
        """Look it up.

        Raises `Unauthenticated` with `invalid_credential` or `expired_credential`.
        """
        ...
