"""What PostgreSQL, Valkey and nginx keep inside themselves and a person may have changed there. Reads only.

A server that does not answer is no drift: `status` says so.
"""

from __future__ import annotations

import difflib
import http.client
import json
import shlex
import socket
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from hftctl.paths import Layout
from hftctl.plan.change import Spec, State
from hftctl.targets.base import Drift
from hftctl.targets.local import catalog, components, credentials, nginx, readiness, services
from hftctl.targets.local.postgres import conf

ASK_TIMEOUT_S = 3.0
# Names of the configuration whose value a server may show in another form than the file has it.
UNCOMPARED = {"include", "logfile", "dir", "daemonize", "requirepass"}


def find(layout: Layout, desired: State) -> Iterator[Drift]:
    for subject, spec in desired.items():
        try:
            match components.kind(subject):
                case "postgres":
                    yield from _postgres_file(layout, subject, spec)
                    yield from _postgres(layout, subject, spec)
                case "redis":
                    yield from _valkey(layout, subject, spec)
                case "nginx":
                    yield from _nginx(layout, subject, spec)
        except OSError:
            continue


def port(subject: str, spec: Spec) -> int:
    """The TCP port that a server of ours listens on; 0: it is none."""
    match components.kind(subject):
        case "postgres":
            return int(spec["settings"]["settings"]["port"])
        case "redis":
            return int(_directives(spec)["port"])
        case "nginx":
            return urlsplit(spec["endpoint"]).port or 0
    return 0


def _postgres_file(layout: Layout, subject: str, spec: Spec) -> Iterator[Drift]:
    path = layout.postgres(components.number(subject)) / "postgresql.conf"
    wanted = conf(spec["settings"]["settings"])
    lines = difflib.unified_diff(
        wanted.splitlines(), path.read_text().splitlines(), "applied", "on disk", n=1, lineterm=""
    )
    if shown := tuple(lines)[2:]:
        restart = f"hftctl restart {subject} -p {layout.name}"
        yield Drift(subject, "file", "postgresql.conf was edited by hand; each start writes it anew", restart, shown)


def _postgres(layout: Layout, subject: str, spec: Spec) -> Iterator[Drift]:
    import psycopg

    number = int(spec["settings"]["settings"]["port"])
    socket.create_connection(("127.0.0.1", number), ASK_TIMEOUT_S).close()
    try:
        with psycopg.connect(**readiness.connection(layout, number)) as server:
            server.read_only = True
            yield from _altered(layout, subject, server)
            yield from _catalog(layout, subject, server)
    except psycopg.OperationalError:
        return


def _altered(layout: Layout, subject: str, server: Any) -> Iterator[Drift]:
    """ALTER SYSTEM, and settings of a role or a database."""
    rows = server.execute(
        "SELECT name, setting FROM pg_file_settings WHERE sourcefile LIKE '%postgresql.auto.conf' ORDER BY name"
    )
    for name, value in rows.fetchall():
        repair = _psql(layout, subject, f"ALTER SYSTEM RESET {name}", "SELECT pg_reload_conf()")
        yield Drift(subject, "setting", f"ALTER SYSTEM set {name} = {value}", repair)
    rows = server.execute(
        "SELECT d.datname, r.rolname, unnest(s.setconfig) FROM pg_db_role_setting s"
        " LEFT JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_roles r ON r.oid = s.setrole ORDER BY 1, 2, 3"
    )
    for database, role, setting in rows.fetchall():
        whose = f"ROLE {role}" + (f" IN DATABASE {database}" if database else "") if role else f"DATABASE {database}"
        repair = _psql(layout, subject, f"ALTER {whose} RESET {setting.partition('=')[0]}")
        yield Drift(subject, "setting", f"ALTER {whose} set {setting}", repair)


def _catalog(layout: Layout, subject: str, server: Any) -> Iterator[Drift]:
    wanted = catalog.read(layout, subject)
    if wanted is None:
        return  # migrated by an older hftctl, which did not look
    found = catalog.look(server)
    schema = f"schema-{components.number(subject)}"
    for name in sorted(wanted.keys() | found.keys()):
        old, new = wanted.get(name), found.get(name)
        if old == new:
            continue
        what = "is gone" if new is None else "was added by hand" if old is None else "was changed by hand"
        lines = difflib.unified_diff(
            (old or "").splitlines(), (new or "").splitlines(), "migrated", "there", n=0, lineterm=""
        )
        repair = _psql(layout, subject, catalog.repair(name, old, new))
        yield Drift(schema, "schema", f"{name} {what}", repair, tuple(lines)[2:])


def _psql(layout: Layout, subject: str, *commands: str) -> str:
    words = [word for command in commands for word in ("-c", command)]
    return shlex.join(["hftctl", "exec", "-p", layout.name, subject, "--", "psql", *words])


def _directives(spec: Spec) -> Mapping[str, str]:
    pairs = (line.partition(" ") for line in spec["files"]["redis.conf"])
    return {name: value.strip('"') for name, _, value in pairs if name not in UNCOMPARED}


def _valkey(layout: Layout, subject: str, spec: Spec) -> Iterator[Drift]:
    from redis import Redis, RedisError

    wanted = {**_directives(spec), "requirepass": credentials.read(layout, services.REDIS_PASSWORD)}
    try:
        with Redis(
            port=port(subject, spec),
            password=wanted["requirepass"],
            socket_timeout=ASK_TIMEOUT_S,
            decode_responses=True,
        ) as server:
            found = {name: server.config_get(name).get(name) for name in wanted}
    except RedisError as error:
        if "WRONGPASS" in str(error) or "Authentication" in type(error).__name__:
            yield Drift(
                subject, "setting", "CONFIG SET changed its password", f"hftctl restart {subject} -p {layout.name}"
            )
        return
    for name, value in wanted.items():
        if found[name] != value:
            said = "another one" if name == "requirepass" else repr(found[name])
            yield Drift(
                subject,
                "setting",
                f"CONFIG SET changed {name} to {said}" + ("" if name == "requirepass" else f", applied was {value!r}"),
                f"hftctl restart {subject} -p {layout.name}",
            )


def _nginx(layout: Layout, subject: str, spec: Spec) -> Iterator[Drift]:
    parts = urlsplit(spec["endpoint"])
    client = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=ASK_TIMEOUT_S)
    try:
        client.request("GET", nginx.EDGE)
        answer = client.getresponse()
        body = json.loads(answer.read(1 << 16)) if answer.status == 200 else {}
        loaded = body.get("config") if isinstance(body, dict) else None
    except (http.client.HTTPException, ValueError):
        loaded = None
    finally:
        client.close()
    if loaded != spec["edge"]:
        said = f"runs with the configuration {loaded or 'of somebody else'}, applied was {spec['edge']}"
        yield Drift(subject, "setting", said, f"hftctl restart {subject} -p {layout.name}")
