"""What memory each component has: its own and what it only looks at. Part of `benchmarks.memory`.

`own` is anonymous and shared memory (heaps, tables, PostgreSQL's buffers): nobody else can have it. `file` are pages of mapped
files, such as the event log and program code: the kernel takes them back when it wants to, so they may grow with the files.
Both are PSS, a page that several processes share being divided among them, summed over a component's processes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from statistics import linear_regression, pstdev
from typing import NamedTuple

from benchmarks.harness.cpu import owners

MIB = 1 << 20
OWN = ("Pss_Anon", "Pss_Shmem")


class Sample(NamedTuple):
    at_s: float
    own_mib: dict[str, float]
    file_mib: dict[str, float]
    rss_mib: dict[str, float]


class Trend(NamedTuple):
    """Of a component's own memory after the warm-up."""

    first_mib: float
    last_mib: float
    max_mib: float
    grown_mib: float  # by the fitted line, from its beginning to its end
    per_hour_mib: float
    noise_mib: float  # standard deviation around the line
    allowed_mib: float

    @property
    def flat(self) -> bool:
        return self.grown_mib <= self.allowed_mib


def sample(groups: Mapping[str, list[int]], began_s: float) -> Sample:
    own, file, rss = (dict.fromkeys(groups, 0.0) for _ in range(3))
    for pid, name in owners(groups).items():
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:  # it ended
            continue
        mib = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in text.splitlines()[1:]}
        own[name] += sum(mib[field] for field in OWN)
        file[name] += mib["Pss_File"]
        rss[name] += mib["Rss"]
    return Sample(
        round(time.monotonic() - began_s, 1),
        *({n: round(v, 2) for n, v in values.items()} for values in (own, file, rss)),
    )


def trend(samples: list[Sample], name: str, allowed_mib: float, allowed_share: float) -> Trend:
    """May grow by `allowed_mib`, by `allowed_share` of what it has, or by three times its own noise, whichever is most."""
    values = [sample.own_mib[name] for sample in samples]
    times = [sample.at_s for sample in samples]
    slope, start = linear_regression(times, values)
    around = pstdev([value - (start + slope * at) for at, value in zip(times, values, strict=True)])
    span_s = times[-1] - times[0]
    return Trend(
        *(round(value, 2) for value in (
            values[0], values[-1], max(values), slope * span_s, slope * 3600, around,
            max(allowed_mib, allowed_share * values[0], 3 * around),
        ))
    )  # fmt: skip
