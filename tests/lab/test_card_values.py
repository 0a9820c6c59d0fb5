"""XPS, RPS and NAPI on a real kernel; a driver that cannot do one of them says so, and is believed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.card_values import CARD, VALUES

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]
ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare")
def test_what_is_set_of_a_card_is_read_back_and_put_back() -> None:
    command = ["unshare", "--net", "--mount", "--propagation", "private", sys.executable, "-m", "tests.lab.card_values"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert set(seen) == set(VALUES)
    for path, one in seen.items():
        if one["had"] is None:
            continue  # an older kernel has no such value
        assert one["back"] == one["had"], path
        if path == f"{CARD}/threaded":  # virtual cards have no NAPI of their own
            assert "its driver cannot do it" in one["unchangeable"]
        else:
            assert one["got"] == {"value": one["wanted"]}, path
