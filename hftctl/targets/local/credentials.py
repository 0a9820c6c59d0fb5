"""Secrets of a deployment: made once, 0600 in a folder 0700, never shown, never on a command line.

`api_keys` is what the services read: hashes only. The keys themselves stand beside it, one file each, for their owners:
`api_key.operator`, and `api_key.<account>` for every account.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path

from hftctl.paths import Layout, make_folder, write_atomic
from hftctl.targets.local.servers import VALKEY_SECRET
from hftctl.targets.local.services import API_KEYS, DATABASE_USER, OWN_ACCOUNTS, POSTGRES_PASSWORD, REDIS_PASSWORD

OPERATOR = "operator"
SECRET_CHARACTERS_MIN = 16


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


def passfile(layout: Layout) -> Path:
    """What libpq takes the password from (PGPASSFILE)."""
    path = layout.secrets / "pgpass"
    line = f"127.0.0.1:*:*:{DATABASE_USER}:{read(layout, POSTGRES_PASSWORD)}\n"
    if not path.exists() or path.read_text() != line:
        write_atomic(path, line, mode=0o600)
    return path


def values(layout: Layout) -> list[str]:
    """Every secret there is. What is too short to be one would only make holes in what people read."""
    names = [POSTGRES_PASSWORD, REDIS_PASSWORD, *(path.name for path in layout.secrets.glob("api_key.*"))]
    found = [(layout.secrets / name).read_text().strip() for name in names if (layout.secrets / name).exists()]
    return [value for value in found if len(value) >= SECRET_CHARACTERS_MIN]


def read(layout: Layout, name: str) -> str:
    return (layout.secrets / name).read_text().strip()


def _once(layout: Layout, name: str) -> str:
    path = layout.secrets / name
    if not path.exists():
        write_atomic(path, secrets.token_urlsafe(32), mode=0o600)
    return path.read_text().strip()


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
