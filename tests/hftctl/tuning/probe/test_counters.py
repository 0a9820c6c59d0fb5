"""The kernel's tables, of machines of several kinds."""

from __future__ import annotations

from hftctl.tuning.probe import counters

INTERRUPTS = """\
           CPU0       CPU2       CPU3
  0:         44          0          0   IO-APIC   2-edge      timer
 25:        100          7          1  PCI-MSIX-0000:00:03.0   1-edge      eth0-rx-0
LOC:     100000      50000        300   Local timer interrupts
RES:         10         20         30   Rescheduling interrupts
ERR:          3
MIS:          0
"""
SOFTIRQS = """\
                    CPU0       CPU2       CPU3
          HI:          0          0          0
       TIMER:     123455        300         10
"""
STAT = """\
cpu  1 2 3 4 5 6 7 800 0 0
cpu0 1 2 3 4 5 6 7 300 0 0
cpu2 1 2 3 4 5 6 7 500 0 0
intr 12345 0 0
"""


def test_columns_are_cpus_by_number_and_devices_are_named():
    table = counters.table(INTERRUPTS)
    assert table["25 eth0-rx-0"] == {0: 100, 2: 7, 3: 1}
    assert table["LOC"] == {0: 100000, 2: 50000, 3: 300}
    assert "ERR" not in table, "it belongs to no CPU"
    assert counters.table(SOFTIRQS)["TIMER"][2] == 300
    assert counters.table("") == {}


def test_steal_is_per_cpu_and_in_seconds():
    assert counters.steal(STAT, 100) == {0: 3.0, 2: 5.0}


def test_only_what_moved_is_told_the_most_first(tmp_path):
    def host(loc, eth, steal):
        (tmp_path / "proc").mkdir(exist_ok=True)
        text = INTERRUPTS.replace("50000", str(loc)).replace("          7", f"{eth:11}")
        (tmp_path / "proc/interrupts").write_text(text)
        (tmp_path / "proc/softirqs").write_text(SOFTIRQS)
        (tmp_path / "proc/stat").write_text(STAT.replace("500", str(steal)))
        return counters.read([2], tmp_path)

    before = host(50000, 7, 500)
    after = host(50500, 17, 600)
    found = counters.between(before, after, 2)
    assert found.interrupts == {"LOC": 500, "25 eth0-rx-0": 10}
    assert list(found.interrupts) == ["LOC", "25 eth0-rx-0"]
    assert found.interrupts_per_s == 510 / (after.at_s - before.at_s)
    assert found.steal_ms > 0
    assert found.softirqs == {}
    assert (found.smi, found.throttled) == (None, None), "nothing counts them here"


def test_heat_and_firmware_are_read_where_they_are_counted(tmp_path):
    folder = tmp_path / "sys/devices/system/cpu/cpu2/thermal_throttle"
    folder.mkdir(parents=True)
    (folder / "core_throttle_count").write_text("3\n")
    (folder / "package_throttle_count").write_text("4\n")
    register = tmp_path / "dev/cpu/2/msr"
    register.parent.mkdir(parents=True)
    register.write_bytes(bytes(0x34) + (77).to_bytes(8, "little"))
    found = counters.read([2], tmp_path)
    assert found.throttled == {2: 7}
    assert found.smi == {2: 77}
