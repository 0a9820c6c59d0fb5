"""The lists of accounts: every order once, in order, in pages of any size, whoever wrote which part of them."""

from __future__ import annotations

import random
import signal

import psycopg
import pytest

from engine.records import EventKind, unpack_events
from stack.persister.compare import listed_problems
from stack.schema.__main__ import connect
from stack.settings import Postgres
from tests.stack.persister.conftest import assert_everything_stands_once, checkpoint
from tests.stack.persister.engine_peer import NOON_NS, EnginePeer, trading
from tests.stack.persister.many_orders import fill, longest_s

ACCOUNTS = {"alice": 1, "bob": 2}


def pages(connection: psycopg.Connection, account: str, size: int, since_ns: int = 0) -> list[int]:
    found: list[int] = []
    while True:
        after = found[-1] if found else 0
        page = connection.execute("SELECT orders_of(0, %s, %s, %s, %s)", (account, after, since_ns, size)).fetchall()
        found += [row[0] for row in page]
        if len(page) < size:
            return found


def assert_lists_are_exact(database: Postgres, peer: EnginePeer) -> None:
    accepted = [event for event in unpack_events(peer.events) if event.kind == EventKind.ACCEPTED]
    times = [0, *(event.time_ns + more for event in random.Random(1).sample(accepted, 5) for more in (0, 1)), 1 << 62]
    with connect(database) as connection:
        assert listed_problems(connection, 0) == []
        for account, number in ACCOUNTS.items():
            for since_ns in times:
                wanted = [e.sequence for e in accepted if e.account == number and e.time_ns >= since_ns]
                for size in (1, 7, 1000) if len(wanted) < 200 else (7, 1000):
                    assert pages(connection, account, size, since_ns) == wanted, (account, since_ns, size)
        assert pages(connection, "nobody", 5) == []


def test_lists_are_exact_over_kills_and_days(persister, peer: EnginePeer, database: Postgres) -> None:
    for round_ in range(4):
        running = persister(batch_events=30)
        before = checkpoint(database)
        trading(peer, seed=round_, commands=150, prefix=f"l{round_}")
        running.wait_for(lambda before=before: checkpoint(database) != before, "a batch")
        running.end(signal.SIGKILL)
        peer.time_ns += 30 * 3_600 * 10**9  # two of the days between have nothing at all
    persister(batch_events=30).wait_until_written(peer)
    assert_lists_are_exact(database, peer)


def test_what_a_persister_without_lists_wrote_is_listed_from_its_events(
    persister, peer: EnginePeer, database: Postgres
) -> None:
    """An upgrade, a rollback, and the upgrade again."""

    def writes(seed: int, *, lists: bool = True) -> None:
        listed = checkpoint(database)[0]
        trading(peer, seed=seed, commands=200, prefix=f"r{seed}")
        running = persister(batch_events=40)
        running.wait_until_written(peer)
        assert running.end() == 0
        if not lists:
            with connect(database) as connection:
                connection.execute("DELETE FROM orders_of_accounts WHERE last > %s", (listed,))
                connection.execute("UPDATE checkpoint SET listed = %s", (listed,))
        assert_lists_are_exact(database, peer)

    writes(1, lists=False)
    writes(2)
    writes(3, lists=False)
    writes(4)
    with connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM unlisted").fetchone() == (2,)


@pytest.mark.parametrize("missing", [1, 17, 90])
def test_where_the_newest_rows_are_gone_the_lists_follow(
    persister, peer: EnginePeer, database: Postgres, missing: int
) -> None:
    """Half a database was restored: rows and checkpoint are older than the lists."""
    trading(peer, seed=5, commands=300)
    running = persister(batch_events=64)
    running.wait_until_written(peer)
    assert running.end() == 0
    with connect(database) as connection:
        cut = peer.engine.sequence - missing
        connection.execute("DELETE FROM events WHERE sequence > %s", (cut,))
        connection.execute("UPDATE checkpoint SET sequence = %s, ordinal = (SELECT count(*) FROM events)", (cut,))
    trading(peer, seed=6, commands=50, prefix="later")
    persister(batch_events=64).wait_until_written(peer)
    assert_lists_are_exact(database, peer)


def test_an_order_is_found_by_its_client_id_on_open_and_on_indexed_days(
    persister, peer: EnginePeer, database: Postgres
) -> None:
    trading(peer, seed=7, commands=60)
    peer.time_ns += 20_000 * 86_400 * 10**9
    trading(peer, seed=8, commands=60, prefix="open")
    running = persister()
    running.wait_until_written(peer)
    accepted = [event for event in unpack_events(peer.events) if event.kind == EventKind.ACCEPTED]
    with connect(database) as connection:
        closed = "SELECT count(*) FROM days_to_index((now() AT TIME ZONE 'UTC')::date)"
        running.end()
        again = persister()
        again.wait_for(lambda: connection.execute(closed).fetchone() == (0,), "the indexes")
        for account, number in ACCOUNTS.items():
            for event in accepted:
                found = connection.execute("SELECT orders_called(0, %s, %s)", (account, event.text.decode())).fetchall()
                assert [row[0] for row in found] == [
                    e.sequence for e in accepted if (e.account, e.text) == (number, event.text)
                ]


def test_an_account_with_few_orders_among_many_is_listed_at_once(database: Postgres) -> None:
    """The long form is `python -m tests.stack.persister.many_orders`."""
    rare = fill(database, orders=120_000, rare=20)
    with connect(database) as connection, connection.transaction():
        assert pages(connection, "rare", 7) == rare
        assert pages(connection, "rare", 1000, since_ns=1) == rare
        read = """SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables
            WHERE relname LIKE 'events%' OR relname = 'orders_of_accounts'"""
        (count,) = connection.execute(read).fetchone() or (0,)
    assert count < 2_000, "rows read, of 120,000"
    assert longest_s(database) < 1


def test_two_persisters_over_a_change_of_day_take_turns(persister, peer: EnginePeer, database: Postgres) -> None:
    """Whichever has the partition when midnight comes, and dies then: the other one makes the day and goes on."""
    first = persister(batch_events=20)
    for day in range(3):
        peer.time_ns = NOON_NS + (day * 24 + 12) * 3_600 * 10**9 - 50 * 1000  # 50 commands before midnight
        second = persister(batch_events=20)
        trading(peer, seed=day, commands=100, prefix=f"d{day}")
        first.wait_for(lambda: checkpoint(database)[0] > 20, "rows")
        first.end(signal.SIGKILL)
        second.wait_until_written(peer)
        first = second
    assert_everything_stands_once(database, peer)
    assert_lists_are_exact(database, peer)
