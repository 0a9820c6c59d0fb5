"""What the persister counts. Import it only after PROMETHEUS_MULTIPROC_DIR is set: prometheus-client looks once."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

_LABELS = ("component", "partition")

rows = Counter("hft_persister_rows", "Events written to PostgreSQL", _LABELS)
batches = Counter("hft_persister_batches", "Transactions committed", _LABELS)
lag_events = Gauge(
    "hft_persister_lag_events", "Durable events not in PostgreSQL yet", _LABELS, multiprocess_mode="mostrecent"
)
lag_seconds = Gauge(
    "hft_persister_lag_seconds",
    "Age of the oldest event that is not in PostgreSQL; 0 when all are",
    _LABELS,
    multiprocess_mode="mostrecent",
)
errors = Counter("hft_persister_errors", "Failed attempts, by what failed", (*_LABELS, "what"))
published = Counter("hft_persister_published_events", "Events whose news went to the cache", _LABELS)
skipped = Counter(
    "hft_persister_skipped_events", "Events whose news was coalesced: too many for the cache, or it was away", _LABELS
)
