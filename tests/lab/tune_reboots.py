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
    parser.add_argument(
        "--keep", type=Path, help="keep the machine there after its cycle, or go on with the one that is there"
    )
    parser.add_argument("--short", action="store_true", help="two boots: a whole cycle whose revert is cut once")
    words = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hftctl-tune-reboots-") as name:
        folder = words.keep or Path(name)
        folder.mkdir(exist_ok=True)
        if words.short:
            prepared, one = scenario.short(folder)
            print(prepared.boots_s, prepared.brought, one)
            return 1 if one.problem or one.isolated or one.boot_file != "written" else 0
        known = folder / "prepared.json"
        prepared = scenario.read(known) if known.exists() else scenario.cycle(folder)
        scenario.write(prepared, known)
        print(f"cycle: {prepared.left or 'as before'}; boots of {prepared.boots_s} s; {prepared.brought}", flush=True)
        done: list[scenario.Cut] = []
        asked = scenario.moments(prepared, words.cuts, words.seed)
        cuts = scenario.cut_all(folder, prepared, asked)
        while True:
            text = report(prepared, done, len(asked), words.seed, time.monotonic() - began)
            if words.report:  # after each cut: a long run that ends early has not been for nothing
                words.report.write_text(text)
            if (one := next(cuts, None)) is None:
                break
            done.append(one)
            print(one, flush=True)
    print(text)
    return 1 if prepared.left or any(one.problem for one in done) else 0


def report(prepared: scenario.Prepared, cuts: list[scenario.Cut], asked: int, seed: int, took_s: float) -> str:
    broken = sum(bool(one.problem) for one in cuts)
    whole = "everything as before: files with mode and owner, settings of the kernel"
    if prepared.left:
        whole = f"different: {prepared.left}"
    ways = "\n".join(
        f"- {way}: {what if isinstance(what, str | int) else ', '.join(map(str, what))}"
        for way, what in prepared.brought.items()
    )
    rows = "\n".join(
        f"| {one.number} | {one.during} | {one.at_line} | {one.lines} | {one.boot_file} | {one.boot_s:.0f} "
        f"| {'isolated' if one.isolated else 'untuned'} | {one.problem or 'as before'} |"
        for one in sorted(cuts, key=lambda one: one.number)
    )
    applied, reverted = (prepared.runs[during].lines for during in ("apply", "revert"))
    return f"""# Tuning over reboots and power cuts

Written by `python -m tests.lab.tune_reboots --cuts {asked} --seed {seed}` in {took_s / 60:.0f} minutes. The machine: QEMU by emulation,
Debian 12 with GRUB, systemd, udev and irqbalance on an ext4 disk, 2 CPUs, a virtio card, {platform.machine()}. Host profile
`latency-extreme` with CPU 1 isolated.

- apply, reboot, verify, revert, reboot: {whole}
- {len(cuts)} of {asked} power cuts (SIGKILL of the process that is the machine), at lines of the journal: the first two of each
  command around the boot loader's file, the others drawn over the {applied} lines of an apply or the {reverted} of a revert:
  {len(cuts) - broken} came up as their journal says and led back to what stood before, files and settings of the kernel; {broken} did not

What the guest had handed to its disk is there after a cut, what it still held in memory is gone. Which kernel parameters a machine
has to come up with is read from its own journal: what that calls written, the boot loader must have found.

After the first reboot, by which way what was there (our service's own journal says what only it brought):

{ways}

| cut | during | asked for at line | lines when it came | the boot loader's file | boot s | came up | after a revert |
|---|---|---|---|---|---|---|---|
{rows}
"""


if __name__ == "__main__":
    sys.exit(main())
