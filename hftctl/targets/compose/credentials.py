"""Secrets of a deployment in its volumes: made once, never in a variable, a label or a command line.

`secrets` is mounted where it is read, and holds of API keys only hashes. The keys themselves stand in `keys`, which no service sees.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

from hftctl.targets.compose.keeper import Keeper
from hftctl.targets.compose.store import Store
from hftctl.targets.local.credentials import OPERATOR, SECRET_CHARACTERS_MIN
from hftctl.targets.local.servers import VALKEY_SECRET
from hftctl.targets.local.services import API_KEYS, OWN_ACCOUNTS, POSTGRES_PASSWORD, REDIS_PASSWORD

SECRET_MODE, KEY_MODE = 0o640, 0o600  # PostgreSQL runs as another user of our group


def make(store: Store, keeper: Keeper, accounts: Sequence[str], *, api_keys: bool) -> None:
    """Whatever is missing; what is there stays."""
    there = {f"secrets/{name}": data.decode() for name, data in store.tree("secrets").items()}
    there |= {f"keys/{name}": data.decode() for name, data in store.tree("keys").items()}

    def once(path: str, wanted: str = "", mode: int = SECRET_MODE) -> str:
        content = wanted or there.get(path) or secrets.token_urlsafe(32)
        if there.get(path) != content:
            keeper.write(path, content.encode(), mode=mode)
        return content

    once(f"secrets/{POSTGRES_PASSWORD}")
    once(f"secrets/{VALKEY_SECRET}", f"requirepass {once(f'secrets/{REDIS_PASSWORD}')}\n")
    if not api_keys:
        return
    lines = [f"{_hash(once(f'keys/api_key.{OPERATOR}', mode=KEY_MODE))} operator *"]
    for account in [*accounts, *OWN_ACCOUNTS]:
        name = f"api_key.{account}" if account != OPERATOR else f"api_key.account.{account}"
        lines.append(f"{_hash(once(f'keys/{name}', mode=KEY_MODE))} trader {account}")
    once(f"secrets/{API_KEYS}", "\n".join(lines) + "\n")


def values(store: Store) -> list[str]:
    found = [*(data for name, data in store.tree("secrets").items() if name in (POSTGRES_PASSWORD, REDIS_PASSWORD))]
    found += store.tree("keys").values()
    return [value for value in (data.decode().strip() for data in found) if len(value) >= SECRET_CHARACTERS_MIN]


def read(store: Store, name: str) -> str:
    return (store.read(name) or b"").decode().strip()


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
