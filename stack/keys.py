"""API keys: who is calling, and for which account.

The file holds one key a line, `SHA-256-hex role account`, with blank lines and lines beginning with `#` in between. Only
the hash is stored: a key has 256 bits of its own, so its plain SHA-256 cannot be guessed back. Roles are `trader` and
`operator`; an operator's account may be `*`, which means every account.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from pathlib import Path
from typing import NamedTuple

EVERY_ACCOUNT = "*"
FILE_BYTES_MAX = 1 << 20
_HASH = re.compile(r"[0-9a-f]{64}")
_ACCOUNT = re.compile(r"[A-Za-z0-9_.-]{1,32}", re.ASCII)
_ROLES = ("trader", "operator")


class KeysError(Exception):
    """The file cannot be used; the message names file and line, never a hash."""


class Caller(NamedTuple):
    role: str  # trader | operator
    account: str | None  # None: every account

    @property
    def operator(self) -> bool:
        return self.role == "operator"

    def may_see(self, account: str) -> bool:
        return self.account is None or self.operator or self.account == account


# With authentication off everybody on this host may do everything; the published address is loopback then.
ANYBODY = Caller("operator", None)


class Keys:
    """The keys of one file. `reload` swaps all of them at once, or keeps the old ones and raises."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._secret = secrets.token_bytes(32)
        self._callers: dict[bytes, Caller] = {}
        self.reload()

    def __len__(self) -> int:
        return len(self._callers)

    def reload(self) -> None:
        try:
            with self._path.open("rb") as file:
                data = file.read(FILE_BYTES_MAX + 1)
        except OSError as error:
            raise KeysError(f"cannot read API keys from {self._path}: {error.strerror}") from error
        if len(data) > FILE_BYTES_MAX:
            raise KeysError(f"{self._path} has more than {FILE_BYTES_MAX} bytes: not a file of API keys")
        parsed = _parse(data, str(self._path))
        self._callers = {self._blinded(digest): caller for digest, caller in parsed.items()}

    def _blinded(self, digest: bytes) -> bytes:
        return hashlib.blake2b(digest, digest_size=32, key=self._secret).digest()

    def find(self, presented: bytes) -> Caller | None:
        """Who presents this key, in a time that says nothing about the keys there are.

        Hashes are compared blinded by a secret of this process: how far a comparison came is then no news.
        """
        return self.find_hashed(hashed(presented))

    def find_hashed(self, digest: bytes) -> Caller | None:
        """Who has the key with this hash: for whoever must ask again after a reload and keeps no key."""
        return self._callers.get(self._blinded(digest))

    def caller(self, authorization: bytes | None) -> Caller | None:
        """Who sends this `Authorization` header; None without a bearer key, or with one nobody has."""
        if authorization is None:
            return None
        scheme, _, key = authorization.partition(b" ")
        key = key.strip(b" ")
        return self.find(key) if scheme.lower() == b"bearer" and key else None


def hashed(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _parse(data: bytes, path: str) -> dict[bytes, Caller]:
    callers: dict[bytes, Caller] = {}
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as error:
        raise KeysError(f"{path}: byte {error.start} is not ASCII") from error
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 3:
            raise KeysError(f"{path}:{number}: {len(words)} words; a line is `SHA-256-hex role account`")
        hashed, role, account = words
        if not _HASH.fullmatch(hashed):
            raise KeysError(f"{path}:{number}: the first word is no SHA-256 in lower-case hexadecimal")
        if role not in _ROLES:
            raise KeysError(f"{path}:{number}: role {role!r} is not one of {', '.join(_ROLES)}")
        every = account == EVERY_ACCOUNT
        if every and role != "operator":
            raise KeysError(f"{path}:{number}: only an operator's account may be {EVERY_ACCOUNT}")
        if not every and not _ACCOUNT.fullmatch(account):
            raise KeysError(f"{path}:{number}: account {account!r} is not 1 to 32 of A-Z a-z 0-9 _ . -")
        digest = bytes.fromhex(hashed)
        if digest in callers:
            raise KeysError(f"{path}:{number}: this key stands there twice")
        callers[digest] = Caller(role, None if every else account)
    return callers
