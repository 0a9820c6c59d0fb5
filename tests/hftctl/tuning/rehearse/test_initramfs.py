"""The archive that the kernel unpacks, read back by the rules of its format."""

from __future__ import annotations

import gzip

from hftctl.tuning.rehearse.initramfs import TRAILER, build


def entries(archive):
    """(name, mode, data, device) of each entry."""
    data, at, found = gzip.decompress(archive), 0, []
    while at < len(data):
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        name_at = at + 110
        name = data[name_at : name_at + fields[11] - 1].decode()
        data_at = (name_at + fields[11] + 3) // 4 * 4
        found.append((name, fields[1], data[data_at : data_at + fields[6]], (fields[9], fields[10])))
        at = (data_at + fields[6] + 3) // 4 * 4
    return found


def test_the_guest_has_its_program_its_orders_and_two_ports():
    archive = build(b"\x7fELF program", ["file /proc/cmdline", "dmesg"])
    found = {name: (mode, data, device) for name, mode, data, device in entries(archive)}
    assert list(found)[-1] == TRAILER
    assert found["init"] == (0o100755, b"\x7fELF program", (0, 0))
    assert found["orders"][1] == b"file /proc/cmdline\ndmesg\n"
    assert found["dev/console"] == (0o020600, b"", (5, 1))
    assert found["dev/report"] == (0o020600, b"", (4, 65))
    assert {"proc", "sys", "dev"} <= set(found)


def test_it_is_the_same_each_time():
    assert build(b"x", ["dmesg"]) == build(b"x", ["dmesg"])
