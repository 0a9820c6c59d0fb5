"""A whole machine: tuned, rebooted, verified, put back, rebooted; and its power goes while the boot loader's file is written.

The long form, with twenty power cuts, is `make tune-long`.
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


def test_a_machine_is_tuned_over_reboots_and_after_a_power_cut(tmp_path: Path) -> None:
    prepared = scenario.cycle(tmp_path, moving=False)
    assert prepared.left == []
    assert prepared.brought["sysctl.d"]
    (asked,) = scenario.moments(prepared, 1, seed=1)
    (one,) = scenario.cut_all(tmp_path, prepared, [asked])
    print(prepared.boots_s, prepared.brought, one)
    assert one.problem == ""
