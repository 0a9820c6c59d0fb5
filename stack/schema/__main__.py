"""Bring a database to this release's schema, or say how far it is.

    python -m stack.schema migrate --config persister.json
    python -m stack.schema status --host 127.0.0.1 --port 55432 --database hft --user hft --password-file secrets/pg

`--config` takes any service configuration with a `postgres` section. Exit codes: 0 done or up to date, 3 `status` found
pending files, 7 files and database do not fit (nothing changed), 13 the database cannot be reached.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from psycopg import sql

from stack.schema.migrations import SchemaError, compare, load, migrate
from stack.settings import Postgres

CONNECT_TIMEOUT_S = 10


class _HasPostgres(msgspec.Struct):
    postgres: Postgres


def connect(postgres: Postgres, *, database: str | None = None) -> psycopg.Connection:
    return psycopg.connect(
        host=postgres.host,
        port=postgres.port,
        dbname=database or postgres.database,
        user=postgres.user,
        password=Path(postgres.password_file).read_text().strip(),
        connect_timeout=CONNECT_TIMEOUT_S,
        application_name="schema",
        autocommit=True,
    )


def create_database(postgres: Postgres) -> bool:
    """Make the database if it is missing; True when it was."""
    with connect(postgres, database="postgres") as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (postgres.database,)).fetchone()
        if known:
            return False
        connection.execute(
            sql.SQL("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0").format(sql.Identifier(postgres.database))
        )
        return True


def run(verb: str, postgres: Postgres, *, create: bool) -> dict[str, Any]:
    migrations = load()
    created = create and create_database(postgres)
    with connect(postgres) as connection:
        if verb == "migrate":
            done = migrate(connection, migrations).pending
            status = compare(connection, migrations)
        else:
            done, status = [], compare(connection, migrations)
    return {
        "database": postgres.database,
        "database_created": created,
        "version": status.version,
        "latest": len(migrations),
        "applied": [migration.name for migration in done],
        "pending": [migration.name for migration in status.pending],
    }


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    try:
        postgres = _postgres(options)
        report = run(options.verb, postgres, create=options.create_database)
    except SchemaError as error:
        return _fail(7, str(error))
    except (psycopg.Error, OSError, msgspec.ValidationError, msgspec.DecodeError) as error:
        return _fail(13, f"cannot {options.verb} the schema: {error}".strip())
    if options.json:
        print(json.dumps(report))
    else:
        for name in report["applied"]:
            print(f"applied {name}")
        newer = ", of a newer release; this one works on it" if report["version"] > report["latest"] else ""
        print(f"{report['database']}: schema {report['version']:04d} of {report['latest']:04d}{newer}")
        for name in report["pending"]:
            print(f"pending {name}")
    return 3 if report["pending"] else 0


def _postgres(options: argparse.Namespace) -> Postgres:
    if options.config:
        return msgspec.json.decode(Path(options.config).read_bytes(), type=_HasPostgres).postgres
    return Postgres(
        host=options.host,
        port=options.port,
        database=options.database,
        user=options.user,
        password_file=options.password_file,
    )


def _fail(code: int, message: str) -> int:
    print(f"schema: {message}", file=sys.stderr)
    return code


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stack.schema", description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=("migrate", "status"))
    parser.add_argument("--config", help="JSON configuration of a service with a `postgres` section")
    for name in ("host", "database", "user", "password-file"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--port", type=int)
    parser.add_argument("--create-database", action="store_true", help="make the database first if it is missing")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    options = parser.parse_args(arguments)
    missing = [n for n in ("host", "port", "database", "user", "password_file") if getattr(options, n) is None]
    if not options.config and missing:
        parser.error(f"give --config, or all of --host --port --database --user --password-file (missing: {missing})")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
