"""Secrets of a deployment: made once, 0600 in a folder 0700, never shown, never on a command line.

`api_keys` is what the services read: hashes only. The keys themselves stand beside it, one file each, for their owners:
`api_key.operator`, and `api_key.<account>` for every account.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

from hftctl.paths import Layout, make_folder, write_atomic
from hftctl.targets.local.servers import VALKEY_SECRET
from hftctl.targets.local.services import API_KEYS, OWN_ACCOUNTS, POSTGRES_PASSWORD, REDIS_PASSWORD

OPERATOR = "operator"


def make(layout: Layout, accounts: Sequence[str], *, api_keys: bool) -> None:
    """Whatever is missing; what is there stays."""
    make_folder(layout.secrets, mode=0o700)
    _once(layout, POSTGRES_PASSWORD)
    password = _once(layout, REDIS_PASSWORD)
    write_atomic(layout.secrets / VALKEY_SECRET, f"requirepass {password}\n", mode=0o600)
    if not api_keys:
        return
    lines = [f"{_hash(_once(layout, f'api_key.{OPERATOR}'))} operator *"]
    for account in [*accounts, *OWN_ACCOUNTS]:
        # An account may be called `operator`; a dot cannot begin its name's file twice.
        name = f"api_key.{account}" if account != OPERATOR else f"api_key.account.{account}"
        lines.append(f"{_hash(_once(layout, name))} trader {account}")
    write_atomic(layout.secrets / API_KEYS, "\n".join(lines) + "\n", mode=0o600)


def read(layout: Layout, name: str) -> str:
    return (layout.secrets / name).read_text().strip()


def _once(layout: Layout, name: str) -> str:
    path = layout.secrets / name
    if not path.exists():
        write_atomic(path, secrets.token_urlsafe(32), mode=0o600)
    return path.read_text().strip()


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
