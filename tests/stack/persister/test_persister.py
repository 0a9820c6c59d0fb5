"""From the engine into PostgreSQL, exactly once, whatever dies when."""

import json
import re
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.records import EVENT_BYTES, Command, CommandKind, Event
from stack.persister.compare import Comparison, listed_problems, postgres_rows
from stack.persister.database import days_of
from stack.schema.__main__ import connect
from stack.settings import Postgres
from tests.stack.persister.conftest import assert_everything_stands_once, checkpoint, rows
from tests.stack.persister.engine_peer import EnginePeer, trading
from tests.stack.persister.proxy import LosesTheAnswerOfACommit
from tests.stack.servers import PostgresServer


def test_every_event_stands_once_and_sigterm_ends_with_0(persister, peer: EnginePeer, database: Postgres):
    trading(peer, seed=1, commands=2000)
    running = persister()
    running.wait_until_written(peer)
    trading(peer, seed=2, commands=300, prefix="later")
    running.wait_until_written(peer)
    assert running.end() == 0
    assert_everything_stands_once(database, peer)


def test_killed_inside_the_transaction_nothing_of_it_stands(persister, peer: EnginePeer, database: Postgres):
    trading(peer, seed=3, commands=20)
    first = persister()
    first.wait_until_written(peer)
    before = checkpoint(database)
    day = max(days_of([peer.events]))
    with connect(database) as holder:
        holder.execute("BEGIN")
        holder.execute(f"LOCK TABLE events_{day:%Y%m%d} IN EXCLUSIVE MODE")  # COPY waits, the checkpoint has moved
        trading(peer, seed=4, commands=200, prefix="b")
        with connect(database) as other:
            waiting = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'COPY%' AND wait_event_type = 'Lock'"
            first.wait_for(lambda: other.execute(waiting).fetchone(), "the COPY")
        first.end(signal.SIGKILL)
        holder.execute("ROLLBACK")
    assert checkpoint(database) == before
    persister().wait_until_written(peer)
    assert_everything_stands_once(database, peer)


def test_killed_again_and_again_under_load_nothing_is_lost_or_doubled(persister, peer: EnginePeer, database: Postgres):
    for round_ in range(5):
        running = persister(batch_events=50)
        before = checkpoint(database)
        trading(peer, seed=round_, commands=300, prefix=f"k{round_}")
        running.wait_for(lambda before=before: checkpoint(database) != before, "a batch")
        running.end(signal.SIGKILL)
    persister().wait_until_written(peer)
    assert_everything_stands_once(database, peer)


def test_a_commit_whose_answer_is_lost_is_not_written_twice(persister, peer: EnginePeer, database: Postgres):
    trading(peer, seed=5, commands=500)
    with LosesTheAnswerOfACommit(database.port) as proxy:
        running = persister(postgres=proxy.in_front_of(database), batch_events=100)
        running.wait_until_written(peer)
        assert running.end() == 0
    assert proxy.lost == 1
    assert_everything_stands_once(database, peer)


def test_a_second_persister_yields_to_the_first(persister, peer: EnginePeer, database: Postgres):
    trading(peer, seed=6, commands=50)
    first = persister()
    first.wait_until_written(peer)
    second = persister()
    assert second.process.wait(20) == 6
    assert "another persister writes partition 0 and goes on, this one ends: persister-0 holds it since" in second.log
    trading(peer, seed=16, commands=50, prefix="b")
    first.wait_until_written(peer)
    assert_everything_stands_once(database, peer)


@pytest.mark.parametrize(
    ("by", "wrong"), [(7, "rows are missing below it"), (-7, "rows above it would be written again")]
)
def test_a_checkpoint_moved_by_hand_is_found_and_can_be_put_back(
    persister, peer: EnginePeer, database: Postgres, by: int, wrong: str
):
    trading(peer, seed=6, commands=50)
    running = persister()
    running.wait_until_written(peer)
    with connect(database) as connection:
        connection.execute("UPDATE checkpoint SET sequence = sequence + %s, ordinal = ordinal + %s", (by, by))
        before = rows(connection)
        peer.apply(Command(CommandKind.HALT, text=b"test"))
        assert running.process.wait(20) == 6
        assert "somebody else moved it; nothing was written" in running.log
        again = persister()
        assert again.process.wait(20) == 10
        assert wrong in again.log
        assert rows(connection) == before
        told = re.search(r"UPDATE checkpoint .* WHERE partition = 0", again.log)
        connection.execute(told[0])
    persister().wait_until_written(peer)
    assert_everything_stands_once(database, peer)


def test_a_database_of_another_journal_is_refused_and_left_alone(
    persister, peer: EnginePeer, database: Postgres, folder: Path
):
    trading(peer, seed=6, commands=50)
    running = persister()
    running.wait_until_written(peer)
    assert running.end() == 0
    other = EnginePeer(folder / "other")
    try:
        running = persister(link_socket=other.socket)
        assert running.process.wait(20) == 10
        assert "belongs to another journal" in running.log
    finally:
        other.close()
    assert_everything_stands_once(database, peer)


def test_trouble_with_the_engine_is_told_while_there_is_some_and_not_before(persister, peer: EnginePeer):
    running = persister()
    running.wait_until_written(peer)
    assert "does not work" not in running.log
    peer.stop()
    running.wait_for(lambda: [it["what"] for it in state(running)["failing"]] == ["engine"], "what status is told")
    peer.start()
    running.wait_for(lambda: not state(running)["failing"], "the good news, without any news of orders")
    peer.stop()
    running.wait_for(lambda: state(running)["failing"], "what status is told")
    peer.start()
    trading(peer, seed=3, commands=20)
    running.wait_until_written(peer)
    assert not state(running)["failing"], "told before the rows that were held up are there"


def test_postgres_away_and_back_and_the_lag_is_told(persister, peer: EnginePeer, tmp_path):
    server = PostgresServer(tmp_path)
    try:
        database = server.settings("postgres")
        running = persister(postgres=database)
        running.database = database
        running.wait_for(lambda: "postgres does not work" in running.log, "a complaint that there is no schema")
        migrate(database)
        running.wait_until_written(peer)
        server.kill()
        trading(peer, seed=7, commands=100)
        running.wait_for(lambda: lag(running) == len(peer.events) // 128 - 5, "the lag")
        running.wait_for(lambda: state(running)["lag_events"] == lag(running), "what status is told")
        told = state(running)
        assert [failing["what"] for failing in told["failing"]] == ["postgres"]
        assert told["failing"][0]["since_ns"] <= told["time_ns"]
        assert told["oldest_ns"] == Event.unpack(peer.events, 5 * EVENT_BYTES).time_ns
        server.start()
        running.wait_until_written(peer)
        running.wait_for(lambda: lag(running) == 0, "no lag")
        running.wait_for(lambda: not state(running)["failing"] and not state(running)["lag_events"], "the good news")
        assert_everything_stands_once(database, peer)
    finally:
        server.kill()


def test_the_engine_away_and_back(persister, peer: EnginePeer, database: Postgres):
    running = persister()
    running.wait_until_written(peer)
    peer.stop()
    running.wait_for(lambda: "engine does not work" in running.log, "a complaint about the engine")
    trading(peer, seed=8, commands=100)
    peer.start()
    running.wait_until_written(peer)
    assert_everything_stands_once(database, peer)


def test_an_engine_that_never_was_there_does_not_keep_it_from_stopping(persister, peer: EnginePeer):
    peer.stop()
    running = persister()
    running.wait_for(lambda: "engine does not work" in running.log, "a complaint about the engine")
    assert running.end() == 0


def test_text_that_postgres_would_refuse_does_not_stop_the_stream(persister, peer: EnginePeer, database: Postgres):
    for text in ("é".encode()[:1], b"a\0b", b"\xff" * 44, "ünï".encode()):
        peer.apply(Command(CommandKind.HALT, text=text))
    peer.apply(Command(CommandKind.CANCEL, target=(1 << 63) - 1, account=(1 << 32) - 1, symbol=(1 << 32) - 1))
    persister().wait_until_written(peer)
    assert_everything_stands_once(database, peer)
    with connect(database) as connection:
        texts = [row[0] for row in connection.execute("SELECT text FROM events WHERE kind = 6 ORDER BY sequence")]
    assert texts == ["\\xc3", "a\\x00b", "\\xff" * 44, "ünï"]


def test_each_day_has_its_table_and_closed_days_get_their_indexes(persister, peer: EnginePeer, database: Postgres):
    trading(peer, seed=9, commands=30)
    peer.time_ns = 86_400_000_000_000 * 19_000  # long ago, a day of its own: time in tests need not go forward here
    trading(peer, seed=10, commands=30, prefix="b")
    running = persister()
    running.wait_until_written(peer)
    assert_everything_stands_once(database, peer)
    today = datetime.now(UTC).date()
    with connect(database) as connection:
        tables = {row[0] for row in connection.execute("SELECT relname FROM pg_class WHERE relkind = 'r'")}
        assert {f"events_{day:%Y%m%d}" for day in days_of([peer.events])} | {f"events_{today:%Y%m%d}"} <= tables
        assert connection.execute("SELECT count(*) FROM days_to_index(CURRENT_DATE)").fetchone()[0] >= 1
    running.end()
    indexed = "SELECT count(*) FROM days_to_index((now() AT TIME ZONE 'UTC' - interval '5 minutes')::date)"
    again = persister()
    with connect(database) as connection:
        again.wait_for(lambda: connection.execute(indexed).fetchone() == (0,), "the indexes")


def state(running) -> dict:
    return json.loads(Path(running.settings.state_file).read_text())


def lag(running) -> int:
    from prometheus_client import CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=running.settings.metrics_dir)
    return registry.get_sample_value("hft_persister_lag_events", {"component": "persister-0", "partition": "0"})


def migrate(database: Postgres) -> None:
    from stack.schema.migrations import load
    from stack.schema.migrations import migrate as apply

    with connect(database) as connection:
        apply(connection, load())


def test_the_comparison_finds_every_difference(persister, peer: EnginePeer, database: Postgres):
    trading(peer, seed=12, commands=300)
    running = persister()
    running.wait_until_written(peer)
    assert running.end() == 0
    count = len(peer.events) // EVENT_BYTES

    def compared(journal: bytes = peer.events) -> Comparison:
        found = Comparison(0)
        pieces = [journal[: 100 * EVENT_BYTES], journal[100 * EVENT_BYTES :]]
        with connect(database) as connection:
            found.run(iter(pieces), postgres_rows(connection, 0))
        return found

    assert (compared().stands, compared().differing, compared().problems) == (count, 0, [])
    beyond = compared(peer.events[:-EVENT_BYTES])
    assert (beyond.stands, beyond.differing) == (count, 1), "a row that the journal has not"
    assert "the journal gives None" in beyond.problems[0]
    with connect(database) as connection:
        connection.execute("UPDATE events SET leaves = leaves + 1 WHERE sequence = 50 AND event_index = 0")
        changed = compared()
        assert (changed.stands, changed.differing) == (count, 1)
        assert listed_problems(connection, 0) == []
        connection.execute("UPDATE orders_of_accounts SET first = first + 1 WHERE account = 2")
        [problem] = listed_problems(connection, 0)
        assert problem.startswith("account 2: its lists name")
        connection.execute("DELETE FROM events WHERE sequence = (SELECT max(sequence) FROM events)")
    assert compared().stands < count
    assert compared().differing > 1
