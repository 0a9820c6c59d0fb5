"""Makes the secrets of a stack that plain `docker compose` runs, once: what is there stays. Standard library only."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

FOLDER = Path("/srv/hftctl/secrets")


def once(name: str, make: str) -> str:
    path = FOLDER / name
    if not path.exists():
        part = path.with_name(f".{name}.part")
        part.touch(mode=0o640)
        part.write_text(make)
        part.rename(path)
    return path.read_text()


if __name__ == "__main__":
    os.umask(0o027)
    once("postgres_password", secrets.token_urlsafe(32))
    password = once("redis_password", secrets.token_urlsafe(32))
    once("redis.conf", f"requirepass {password}\n")
