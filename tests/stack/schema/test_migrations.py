"""The runner: each file once, whole or not at all, never edited, and only adding."""

import json
import re
import threading
from pathlib import Path

import psycopg
import pytest

from stack.schema.__main__ import connect, main
from stack.schema.migrations import LOCK_KEY, SchemaError, compare, load, migrate
from stack.settings import Postgres


def _write(folder: Path, *files: tuple[str, str]) -> Path:
    for name, sql in files:
        (folder / name).write_text(sql)
    return folder


def test_migrating_applies_every_file_once_and_then_nothing(empty_database: Postgres):
    with connect(empty_database) as connection:
        assert [m.version for m in migrate(connection, load()).pending] == [m.version for m in load()]
        assert migrate(connection, load()).pending == []
        assert compare(connection, load()).version == len(load())


def test_a_file_that_fails_leaves_nothing_behind_and_can_be_mended(empty_database: Postgres, tmp_path: Path):
    _write(tmp_path, ("V0001__a.sql", "CREATE TABLE a (x integer)"))
    _write(tmp_path, ("V0002__b.sql", "CREATE TABLE b (x integer); SELECT 1 / 0"))
    with connect(empty_database) as connection:
        with pytest.raises(SchemaError, match="V0002__b failed and changed nothing"):
            migrate(connection, load(tmp_path))
        tables = connection.execute("SELECT to_regclass('a') IS NOT NULL, to_regclass('b') IS NULL").fetchone()
        assert tables == (True, True)
        _write(tmp_path, ("V0002__b.sql", "CREATE TABLE b (x integer)"))
        assert [m.name for m in migrate(connection, load(tmp_path)).pending] == ["V0002__b"]


def test_an_edited_file_is_refused(empty_database: Postgres, tmp_path: Path):
    _write(tmp_path, ("V0001__a.sql", "CREATE TABLE a (x integer)"))
    with connect(empty_database) as connection:
        migrate(connection, load(tmp_path))
        _write(tmp_path, ("V0001__a.sql", "CREATE TABLE a (x bigint)"), ("V0002__b.sql", "CREATE TABLE b ()"))
        with pytest.raises(SchemaError, match="V0001__a was applied with checksum"):
            migrate(connection, load(tmp_path))
        assert connection.execute("SELECT to_regclass('b')").fetchone() == (None,)


def test_earlier_code_works_on_what_a_later_one_has_added(empty_database: Postgres):
    with connect(empty_database) as connection:
        migrate(connection, load())
        assert migrate(connection, load()[:1]).pending == []
        assert compare(connection, load()[:1]).version == len(load())


def test_earlier_code_is_refused_where_a_later_one_took_away_what_it_reads(empty_database: Postgres, tmp_path: Path):
    _write(tmp_path, ("V0001__a.sql", "CREATE TABLE a (x integer)"), ("V0002__b.sql", "CREATE TABLE b (x integer)"))
    _write(tmp_path, ("V0003__without_a.sql", "-- needs V0002\nDROP TABLE a"))
    first, second, third = load(tmp_path)
    with connect(empty_database) as connection:
        migrate(connection, [first, second, third])
        assert compare(connection, [first, second]).pending == []
        with pytest.raises(SchemaError, match="V0003__without_a, which took away what releases before V0002 read"):
            migrate(connection, [first])


def test_a_database_of_a_release_that_did_not_say_what_it_needs_is_taken_on(empty_database: Postgres):
    with connect(empty_database) as connection:
        migrate(connection, load()[:-1])
        connection.execute("ALTER TABLE schema_versions DROP COLUMN needs")
        assert compare(connection, load()).pending == load()[-1:]
        assert migrate(connection, load()).pending == load()[-1:]
        assert compare(connection, load()).pending == []


@pytest.mark.parametrize("name", ["V0003__gap.sql", "V1__short.sql", "0001_a.sql"])
def test_a_gap_or_an_unknown_name_is_refused(tmp_path: Path, name: str):
    _write(tmp_path, ("V0001__a.sql", ""), (name, ""))
    with pytest.raises(SchemaError):
        load(tmp_path)


def test_a_second_runner_waits_for_the_first(empty_database: Postgres):
    with connect(empty_database) as first, connect(empty_database) as second:
        first.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
        done = threading.Event()
        thread = threading.Thread(target=lambda: (migrate(second, load()), done.set()))
        thread.start()
        waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while not first.execute(waiting).fetchone():
            pass
        assert not done.is_set()
        first.execute("SELECT pg_advisory_unlock(%s)", (LOCK_KEY,))
        thread.join(30)
        assert done.is_set()


def test_our_files_only_add_or_say_what_they_need():
    contracting = re.compile(r"\b(DROP|TRUNCATE|DELETE|RENAME|ALTER\s+COLUMN)\b", re.IGNORECASE)
    for migration in load():
        if migration.needs:
            continue
        statements = re.sub(
            r"--[^\n]*|AS \$\$.*?\$\$", "", migration.sql, flags=re.DOTALL
        )  # what a function does is no migration
        assert not contracting.search(statements), migration.name


def test_the_command_reports_json_and_status_tells_what_is_pending(empty_database: Postgres, capsys):
    flags = ["--host", empty_database.host, "--port", str(empty_database.port), "--user", empty_database.user]
    flags += ["--password-file", empty_database.password_file, "--json", "--database"]
    assert main(["status", *flags, empty_database.database]) == 3
    assert json.loads(capsys.readouterr().out)["pending"] == [m.name for m in load()]
    assert main(["migrate", *flags, "made_by_the_runner", "--create-database"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["database_created"], report["version"], report["pending"]) == (True, len(load()), [])
    assert main(["status", *flags, "made_by_the_runner"]) == 0
    assert main(["status", *flags, "not_there"]) == 13


def test_the_command_takes_the_configuration_of_a_service(database: Postgres, tmp_path: Path, capsys):
    config = tmp_path / "persister.json"
    postgres = {name: getattr(database, name) for name in database.__struct_fields__}
    config.write_text(json.dumps({"component": "persister-0", "postgres": postgres}))
    assert main(["status", "--config", str(config)]) == 0
    assert f"schema {len(load()):04d} of {len(load()):04d}" in capsys.readouterr().out
    config.write_text("{}")
    assert main(["status", "--config", str(config)]) == 13


def test_the_password_stands_in_no_error(database: Postgres, tmp_path: Path, capsys):
    wrong = tmp_path / "password"
    wrong.write_text("not this one")
    flags = ["--host", "127.0.0.1", "--port", str(database.port), "--user", "hft", "--password-file", str(wrong)]
    assert main(["status", *flags, "--database", database.database]) == 13
    said = capsys.readouterr()
    assert "not this one" not in said.out + said.err


def test_a_locked_out_runner_changes_nothing(empty_database: Postgres, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("stack.schema.migrations.LOCK_TIMEOUT_MS", 50)
    with connect(empty_database) as first, connect(empty_database) as second:
        first.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
        with pytest.raises(SchemaError, match="another migration has held the lock"):
            migrate(second, load())
        assert isinstance(second, psycopg.Connection)
        assert second.execute("SELECT to_regclass('schema_versions')").fetchone() == (None,)
