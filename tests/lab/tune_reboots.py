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
        prepared = scenario.cycle(folder, moments=True)
        print(f"cycle: {prepared.left or 'as before'}; boots of {prepared.boots_s} s; {prepared.brought}", flush=True)
        cuts: list[scenario.Cut] = []
        while True:
            text = report(prepared, cuts, words.seed, time.monotonic() - began)
            if words.report:
                words.report.write_text(
                    text
                )  # after each cut: a run of an hour that ends early has not been for nothing
            if len(cuts) == words.cuts:
                break
            cuts.append(scenario.cut(folder, prepared, len(cuts), words.seed))
            print(cuts[-1], flush=True)
    print(text)
    return 1 if prepared.left or any(one.problem for one in cuts) else 0


def report(prepared: scenario.Prepared, cuts: list[scenario.Cut], seed: int, took_s: float) -> str:
    broken = sum(bool(one.problem) for one in cuts)
    whole = "everything as before: files with mode and owner, settings of the kernel"
    if prepared.left:
        whole = f"different: {prepared.left}"
    ways = "\n".join(
        f"- {way}: {what if isinstance(what, str | int) else ', '.join(map(str, what))}"
        for way, what in prepared.brought.items()
    )
    rows = "\n".join(
        f"| {number} | {one.during} | {one.at_line} | {one.lines} | {one.boot_s:.0f} | {'isolated' if one.isolated else 'untuned'} "
        f"| {one.problem or 'as before'} |"
        for number, one in enumerate(cuts)
    )
    return f"""# Tuning over reboots and power cuts

Written by `python -m tests.lab.tune_reboots --cuts {len(cuts)} --seed {seed}` in {took_s / 60:.0f} minutes. The machine: QEMU by emulation,
Debian 12 with GRUB, systemd, udev and irqbalance on an ext4 disk, 2 CPUs, a virtio card, {platform.machine()}. Host profile
`latency-extreme` with CPU 1 isolated.

- apply, reboot, verify, revert, reboot: {whole}
- {len(cuts)} power cuts (SIGKILL of the process that is the machine), at lines of the journal drawn over the {prepared.apply_lines} of an
  apply or the {prepared.revert_lines} of a revert: {len(cuts) - broken} came up and led back to what stood before, {broken} did not

After the first reboot, by which way what was there (our service's own journal says what only it brought):

{ways}

| cut | during | asked for at line | lines when it came | boot s | came up | after a revert |
|---|---|---|---|---|---|---|
{rows}
"""


if __name__ == "__main__":
    sys.exit(main())
