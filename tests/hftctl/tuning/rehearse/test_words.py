"""The command line taken apart, and the guest's shape after the host's."""

from __future__ import annotations

import pytest

from hftctl.errors import UsageError
from hftctl.tuning.rehearse import words as wording
from hftctl.tuning.rehearse.shape import GIB, MIB, asked, even, guest, memory, scaled


def texts(line):
    return [word.text for word in wording.parse(line)]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("", []),
        ("  a=1\tb \n", ["a=1", "b"]),
        ('dyndbg="file a +p" quiet', ['dyndbg="file a +p"', "quiet"]),
        (
            "hugepagesz=1G hugepages=2 hugepagesz=2M hugepages=2",
            ["hugepagesz=1G", "hugepages=2", "hugepagesz=2M", "hugepages=2"],
        ),
        ("nohz_full=2 -- isolcpus=3", ["nohz_full=2"]),
    ],
)
def test_words_keep_their_order_and_their_quotes(line, found):
    assert texts(line) == found


def test_a_word_has_a_name_a_key_and_a_value():
    (word,) = wording.parse("transparent-hugepage=never")
    assert (word.name, word.key, word.value) == ("transparent-hugepage", "transparent_hugepage", "never")
    assert wording.parse("nosmt")[0].value is None
    assert wording.parse('a="b c"')[0].value == "b c"
    assert wording.parse("systemd.cpu_affinity=0")[0].for_user_space
    assert not wording.parse("rcutree.kthread_prio=11")[0].for_user_space


@pytest.mark.parametrize(
    ("value", "flags", "cpus"),
    [
        ("managed_irq,domain,2-3,5", ("managed_irq", "domain"), "2-3,5"),
        ("2", (), "2"),
        ("domain", ("domain",), ""),
        ("", (), ""),
    ],
)
def test_flags_of_isolcpus(value, flags, cpus):
    assert wording.split_flags(value) == (flags, cpus)


def test_the_last_value_of_a_name_counts():
    assert wording.last(wording.parse("a=1 b a=2"), "a") == "2"
    assert wording.last(wording.parse("b"), "a") is None


def test_huge_pages_are_asked_for_in_pairs_and_per_node():
    words = wording.parse("hugepages=3 hugepagesz=1G hugepages=0:4,1:1 hugepagesz=2M hugepages=7")
    assert asked(words) == [(2 * MIB, None, 3), (GIB, 0, 4), (GIB, 1, 1), (2 * MIB, None, 7)]


def test_a_guest_has_the_hosts_nodes_and_a_part_of_its_memory():
    host = even(8, 2, 64 * GIB)
    words = wording.parse("hugepagesz=2M hugepages=0:4096,1:1")
    small = guest(host, words)
    assert [node.cpus for node in small.nodes] == [(0, 1, 2, 3), (4, 5, 6, 7)]
    assert small.memory_bytes == GIB
    assert small.share == 1 / 64
    assert wording.line(scaled(words, small.share)) == "hugepagesz=2M hugepages=0:64,1:1"


def test_pages_of_a_gib_need_a_larger_guest():
    host, words = even(4, 1, 64 * GIB), wording.parse("hugepagesz=1G hugepages=16")
    assert guest(host, words).memory_bytes == 8 * GIB
    assert wording.line(scaled(words, guest(host, words).share)) == "hugepagesz=1G hugepages=2"


def test_a_small_host_is_rehearsed_as_it_is():
    small = guest(even(2, 1, 512 * MIB), wording.parse("hugepages=1000"))
    assert (small.memory_bytes, small.share) == (512 * MIB, 1.0)


def test_more_cpus_than_a_guest_can_bear_are_possible_and_not_present():
    host = even(96, 2, 256 * GIB)
    assert (host.possible, host.present) == (96, 32)


@pytest.mark.parametrize(("cpus", "nodes"), [(0, 1), (2, 3), (256, 1)])
def test_machines_that_cannot_be_are_refused(cpus, nodes):
    with pytest.raises(UsageError, match="cannot rehearse"):
        even(cpus, nodes, GIB)


@pytest.mark.parametrize(
    ("text", "size"), [("512M", 512 * MIB), ("1G", GIB), ("2GiB", 2 * GIB), ("1024", 1024), ("4k", 4096)]
)
def test_sizes(text, size):
    assert memory(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1G", "1.5G", "1T"])
def test_what_is_no_size(text):
    with pytest.raises(UsageError):
        memory(text)
