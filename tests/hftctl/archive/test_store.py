"""A store keeps what it has: nothing half, nothing for others to read, and nothing damaged for the next backup to lean on."""

import pytest

from hftctl.archive.store import Store
from hftctl.errors import DamageFound
from hftctl.operations.backup.place import held


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path, "paper")
    made.make()
    return made


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_what_was_found_damaged_is_copied_again_by_the_next_backup(store):
    name, _ = store.put(b"orders" * 1000)
    assert store.put(b"orders" * 1000) == (name, 0), "what is there is not written again"
    flip(store.path(name))
    with pytest.raises(DamageFound, match="is damaged, it holds the journal"):
        store.get(name, "the journal")
    with pytest.raises(DamageFound, match="is damaged, it holds the journal: it was found so and set aside"):
        store.get(name, "the journal")
    assert store.path(name).with_name(f"{name}.zst.damaged").exists(), "nothing is thrown away"
    assert store.put(b"orders" * 1000)[1] > 0
    assert store.get(name, "the journal") == b"orders" * 1000


def test_what_a_killed_backup_had_half_written_is_taken_away_by_the_next_one(store):
    name, _ = store.put(b"whole")
    half = [store.path(name).with_name(f".{name}.zst.k1ll3d"), store.backups / ".20261129-010203-abcdef.json.k1ll3d"]
    for path in half:
        path.write_bytes(b"ha")
    store.sweep()
    assert not any(path.exists() for path in half)
    assert store.get(name, "it") == b"whole"


def test_nobody_else_can_read_it_whoever_holds_its_lock(store):
    store.put(b"orders")
    with held(store, "backup"):
        pass
    modes = {path: path.stat().st_mode & 0o777 for path in (store.root, *store.root.rglob("*"))}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
