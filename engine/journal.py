"""The journal's codec: records, segment headers, watermarks and verdicts, over buffers.

Files, writing and syncing are not here. `IMPLEMENTATION` says which codec was loaded; both give the same bytes.
"""

from __future__ import annotations

from engine.scan import CHAIN_START, Scan, Verdict
from engine.segment import (
    FORMAT_VERSION,
    HEADER_BYTES,
    JournalError,
    SegmentHeader,
    Watermark,
    read_watermark,
)

try:
    from engine.journal_cython import IMPLEMENTATION, Encoder, crc32c, hash_events, last_group, mix, scan
except ImportError:  # engine.implementations() says why
    from engine.journal_python import IMPLEMENTATION, Encoder, crc32c, hash_events, last_group, mix, scan

__all__ = [
    "CHAIN_START",
    "FORMAT_VERSION",
    "HEADER_BYTES",
    "IMPLEMENTATION",
    "Encoder",
    "JournalError",
    "Scan",
    "SegmentHeader",
    "Verdict",
    "Watermark",
    "crc32c",
    "hash_events",
    "last_group",
    "mix",
    "read_watermark",
    "scan",
]
