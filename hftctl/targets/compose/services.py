"""Settings and files of each component in its container: the same as on this machine, but for addresses. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hftctl.release import Release
from hftctl.targets.local import nginx as door
from hftctl.targets.local import services as settings
from hftctl.targets.local.servers import VALKEY_SECRET, postgres_settings

POSTGRES_PORT, REDIS_PORT, HTTP_PORT = 5432, 6379, 8080
DATA = "../data"  # each engine has a volume of its own
STANDARD_ERROR = "-"
# Commands inside a container of ours.
PYTHON = ("/opt/hftctl/bin/python", "-I", "-S")
PROBE = (*PYTHON, "/opt/hftctl/probe.py")
# psql and valkey-cli find the password in a file of the container's own, not in a variable that `inspect` shows.
PREPARE = (
    "umask 077; "
    f"if [ -r /srv/hftctl/secrets/{settings.POSTGRES_PASSWORD} ]; then "
    f'echo "*:*:*:{settings.DATABASE_USER}:$(cat /srv/hftctl/secrets/{settings.POSTGRES_PASSWORD})" > /tmp/.pgpass; '
    f"export PGPASSFILE=/tmp/.pgpass PGUSER={settings.DATABASE_USER} PGDATABASE={settings.DATABASE} PGHOST=postgres-0; fi; "
    f"if [ -r /srv/hftctl/secrets/{settings.REDIS_PASSWORD} ]; then "
    f'REDISCLI_AUTH="$(cat /srv/hftctl/secrets/{settings.REDIS_PASSWORD})"; export REDISCLI_AUTH; fi; '
    'exec "$@"'
)

POSTGRES_SH = f"""\
# Becomes PostgreSQL. A cluster is made beside its place and moved there whole: a kill leaves none or a good one.
set -eu
umask 077
data=/var/lib/postgresql/cluster
if [ ! -s "$data/PG_VERSION" ]; then
  rm -rf "$data.part"
  initdb -D "$data.part" -U {settings.DATABASE_USER} --pwfile=/srv/hftctl/secrets/{settings.POSTGRES_PASSWORD} \\
    --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-instructions
  mv "$data.part" "$data"
fi
cp "${{0%.sh}}.conf" "$data/postgresql.conf"
echo 'host all all all scram-sha-256' > "$data/pg_hba.conf"
exec postgres -D "$data"
"""

REDIS_SH = f"""\
# Becomes Valkey (or Redis, whichever the image has); with `ping` asks the one that runs.
set -eu
if [ "${{1:-}}" = ping ]; then
  # Over its standard input: neither a command line nor a variable, which others can read.
  cli=$(command -v valkey-cli || command -v redis-cli)
  printf 'AUTH %s\\nPING\\n' "$(cat /srv/hftctl/secrets/{settings.REDIS_PASSWORD})" | "$cli" -p {REDIS_PORT} | grep -qx PONG
  exit
fi
exec "$(command -v valkey-server || command -v redis-server)" "${{0%.sh}}.conf"
"""


def engine(release: Release, number: int) -> dict[str, Any]:
    made = settings.engine(release, number, door=False)
    address = made["session_address"]
    reached = f"0.0.0.0:{address.rpartition(':')[2]}" if address else None
    return {**made, "data_dir": DATA, "log_file": STANDARD_ERROR, "session_address": reached}


def gateway(release: Release, number: int, kind: str = "gateway") -> dict[str, Any]:
    """Of another `kind` while a canary is judged: `canary` or `baseline`."""
    called = {"component": f"{kind}-{number}", "socket": socket(kind, number)}
    return _on_docker(settings.gateway(release, number)) | {"release_file": "../config/release.json"} | called


def socket(kind: str, number: int) -> str:
    return f"{kind}-{number}.sock"


def persister(release: Release, number: int) -> dict[str, Any]:
    return _on_docker(settings.persister(release, number))


def schema() -> dict[str, Any]:
    return {"postgres": _postgres()}


def postgres_files(profile: Mapping[str, Any], shard: int) -> dict[str, str]:
    lines = {**postgres_settings(), "listen_addresses": "*", "port": POSTGRES_PORT}
    text = "".join(f"{name} = '{str(value).replace(chr(39), chr(39) * 2)}'\n" for name, value in lines.items())
    return {f"postgres-{shard}.sh": POSTGRES_SH, f"postgres-{shard}.conf": text}


def redis_files(profile: Mapping[str, Any]) -> dict[str, str]:
    lines = [
        f'include "/srv/hftctl/secrets/{VALKEY_SECRET}"',
        "bind 0.0.0.0",
        f"port {REDIS_PORT}",
        "protected-mode yes",
        "daemonize no",
        "dir /tmp",
        'save ""',  # a cache: the truth is in the journal
        "appendonly no",
        f"maxmemory {profile['redis']['max_memory_bytes']}",
        "maxmemory-policy allkeys-lru",
        "tcp-backlog 511",
        "databases 1",
    ]
    return {"redis.sh": REDIS_SH, "redis.conf": "\n".join(lines) + "\n"}


def nginx(profile: Mapping[str, Any], processors: int, shares: Sequence[door.Share] = ()) -> tuple[list[str], str]:
    """The lines of its configuration, and the digest by which it says that it runs them."""
    place = door.Place(error_log="stderr", listen=str(HTTP_PORT))
    return door.conf(profile, place, door=False, keeps=True, processors=processors, shares=shares)


def _on_docker(made: dict[str, Any]) -> dict[str, Any]:
    return {**made, "postgres": _postgres(), "redis": _redis(), "log_file": STANDARD_ERROR}


def _postgres() -> dict[str, Any]:
    return {
        "host": "postgres-0",
        "port": POSTGRES_PORT,
        "database": settings.DATABASE,
        "user": settings.DATABASE_USER,
        "password_file": f"../secrets/{settings.POSTGRES_PASSWORD}",
    }


def _redis() -> dict[str, Any]:
    return {"host": "redis", "port": REDIS_PORT, "password_file": f"../secrets/{settings.REDIS_PASSWORD}"}
