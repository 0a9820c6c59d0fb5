"""A whole machine in two boots: tuned, rebooted, verified; put back, and its power goes in the middle of that; booted, all as before.

The long form, with twenty power cuts and a whole cycle that nobody disturbs, is `make tune-long`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.lab.guest import scenario

TOOLS = ("qemu-system-x86_64", "qemu-img", "mmdebstrap", "mke2fs")
pytestmark = [
    pytest.mark.lab,
    pytest.mark.timeout(1800),  # with the image still to be built, beside other work
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to build a machine's disk"),
    pytest.mark.skipif(any(shutil.which(one) is None for one in TOOLS), reason=f"needs {', '.join(TOOLS)}"),
]


def test_a_machine_is_tuned_over_reboots_and_a_power_cut_and_as_before_in_the_end(tmp_path: Path) -> None:
    prepared, cut = scenario.short(tmp_path)
    print(prepared.boots_s, prepared.brought, cut)
    assert prepared.brought["sysctl.d"]
    assert cut.boot_file == "written"
    assert not cut.isolated, "the boot loader found what the journal calls written"
    assert cut.problem == ""
