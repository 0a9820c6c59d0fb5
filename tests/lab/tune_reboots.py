"""A tuned machine over reboots and power cuts: a whole cycle, then the cuts. `python -m tests.lab.tune_reboots --report FILE`."""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from pathlib import Path

from tests.lab.guest import scenario


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.tune_reboots", description=__doc__)
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, help="write what was found there")
    words = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hftctl-tune-reboots-") as name:
        folder = Path(name)
        (folder / "cycle").mkdir()
        left = scenario.cycle(folder / "cycle")
        print(f"cycle: {left or 'as before'}", flush=True)
        prepared = scenario.prepare(folder)
        print(f"apply {prepared[3]:.1f} s, revert {prepared[4]:.1f} s", flush=True)
        cuts = []
        for number in range(words.cuts):
            cuts.append(scenario.cut(folder, prepared, number, words.seed))
            print(cuts[-1], flush=True)
    text = report(left, cuts, words.seed, prepared[3:], time.monotonic() - began)
    if words.report:
        words.report.write_text(text)
    print(text)
    return 1 if left or any(one.problem for one in cuts) else 0


def report(left: list[str], cuts: list[scenario.Cut], seed: int, takes_s: tuple[float, float], took_s: float) -> str:
    broken = sum(bool(one.problem) for one in cuts)
    whole = f"different: {left}" if left else "everything as before: files with mode and owner, settings of the kernel"
    rows = "\n".join(
        f"| {number} | {one.during} | {one.after_s:.1f} | {one.boot_s:.0f} | {'isolated' if one.applied else 'untuned'} "
        f"| {one.problem or 'as before'} |"
        for number, one in enumerate(cuts)
    )
    return f"""# Tuning over reboots and power cuts

Written by `python -m tests.lab.tune_reboots --cuts {len(cuts)} --seed {seed}` in {took_s / 60:.0f} minutes. The machine: QEMU by emulation,
Debian 12 with GRUB and systemd on an ext4 disk, 4 CPUs, {platform.machine()}.

- apply, reboot, verify, revert, reboot: {whole}
- {len(cuts)} power cuts (SIGKILL of the process that is the machine), at moments drawn over an apply of {takes_s[0]:.1f} s or a
  revert of {takes_s[1]:.1f} s: {len(cuts) - broken} came up and led back to what stood before, {broken} did not

| cut | during | after s | boot s | came up | after a revert |
|---|---|---|---|---|---|
{rows}
"""


if __name__ == "__main__":
    sys.exit(main())
