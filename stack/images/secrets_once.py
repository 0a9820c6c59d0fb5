"""Makes the secrets of a stack that plain `docker compose` runs, once: what is there stays. Standard library only.

    secrets_once.py [ACCOUNT...]      with accounts also their API keys, and one of an operator

The keys stand in a folder that no service sees; services read their hashes.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from pathlib import Path

ROOT = Path("/srv/hftctl")
OPERATOR = "operator"


def main(root: Path, accounts: list[str]) -> None:
    os.umask(0o027)
    folder, keys = root / "secrets", root / "keys"
    once(folder / "postgres_password", secrets.token_urlsafe(32))
    password = once(folder / "redis_password", secrets.token_urlsafe(32))
    once(folder / "redis.conf", f"requirepass {password}\n")
    if not accounts:
        return
    lines = [f"{_hash(once(keys / f'api_key.{OPERATOR}', secrets.token_urlsafe(32), 0o600))} operator *"]
    for account in accounts:
        name = f"api_key.{account}" if account != OPERATOR else f"api_key.account.{account}"
        lines.append(f"{_hash(once(keys / name, secrets.token_urlsafe(32), 0o600))} trader {account}")
    replace(folder / "api_keys", "\n".join(lines) + "\n", 0o640)  # an account may be new


def once(path: Path, make: str, mode: int = 0o640) -> str:
    if not path.exists():
        replace(path, make, mode)
    return path.read_text()


def replace(path: Path, text: str, mode: int) -> None:
    part = path.with_name(f".{path.name}.part")
    part.touch(mode=mode)
    part.write_text(text)
    part.rename(path)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


if __name__ == "__main__":
    main(ROOT, sys.argv[1:])
