"""What reading a journal can find; shared by both codecs."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

CHAIN_START = 0x6A09E667F3BCC908  # chain and events hash before the first record and event: any fixed number but 0
CHAIN_MULTIPLIER = 0x9E3779B97F4A7C15  # odd, so that multiplying loses nothing


class Verdict(StrEnum):
    CLEAN = "clean"  # whole records, then zeros or the end
    TORN = "torn tail"  # a write that never finished and that nobody was told of: cut it off and go on
    DAMAGED = "damaged"  # something that was synced is not there any more: refuse to start


class Scan(NamedTuple):
    records: int  # how many whole, valid, consecutive records the buffer begins with
    end_offset: int  # where they end
    sequence: int  # of the last of them, or the one before the buffer
    chain: int  # after the last of them
    verdict: Verdict
    detail: str  # one sentence for whoever must decide, empty when clean
