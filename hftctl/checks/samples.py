"""A sample of how a deployment does: the metrics of all its components, as the public door tells them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from hftctl.checks.canary import Answers
from hftctl.checks.slo import Sample
from hftctl.errors import NotFound

TIMEOUT_S = 5.0
UNASKED = ("GET /health", "GET /metrics")  # those who watch, not those who trade
OPERATORS_WILL = {"halted", "instrument_halted"}  # refused with 503, because somebody wanted it so


def read(endpoint: str) -> str:
    """Raises NotFound when no metrics come."""
    import httpx

    try:
        answer = httpx.get(f"{endpoint}/metrics", timeout=TIMEOUT_S, trust_env=False)
    except httpx.HTTPError as error:
        raise NotFound(f"GET {endpoint}/metrics: {type(error).__name__}: {error}") from error
    if answer.status_code != 200:
        raise NotFound(f"GET {endpoint}/metrics: {answer.status_code} {answer.text[:200]!r}")
    return answer.text


def of(text: str, restarts: Iterable[tuple[str, int]] = ()) -> Sample:
    """From Prometheus' text format."""
    from prometheus_client.parser import text_string_to_metric_families

    commands = turned_away = requests = failed = wanted = lag_s = 0.0
    latency: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            match one.name:
                case "hft_commands_total":
                    commands += one.value
                case "hft_busy_total":
                    turned_away += one.value
                case "hft_refusals_total" if one.labels["reason"] == "book_full":
                    turned_away += one.value
                    commands -= one.value  # it is among them
                case "hft_refusals_total" if one.labels["reason"] in OPERATORS_WILL:
                    wanted += one.value
                case "hft_gateway_requests_total" if not one.labels["route"].startswith(UNASKED):
                    requests += one.value
                    failed += one.value if one.labels["status"].startswith("5") else 0
                case "hft_stage_seconds_bucket" if one.labels["stage"] == "total":
                    latency["at the engine's door"][float(one.labels["le"])] += one.value
                case "hft_gateway_request_seconds_bucket" if one.labels["route"] == "POST /orders":
                    latency["at the gateways"][float(one.labels["le"])] += one.value
                case "hft_persister_lag_seconds":
                    lag_s = max(lag_s, one.value)
    return Sample(
        orders=commands + turned_away,
        turned_away=turned_away,
        requests=requests,
        failed=failed,
        wanted=wanted,
        latency={where: dict(counts) for where, counts in latency.items()},
        lag_s=lag_s,
        restarts=dict(restarts),
    )


def answers(text: str, kind: str) -> Answers:
    """What the gateways that are called `kind` (`canary-1`, `canary-2` ...) answered until now. From Prometheus' text format."""
    from prometheus_client.parser import text_string_to_metric_families

    requests = failed = refused = 0.0
    latency: dict[float, float] = defaultdict(float)
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            if one.labels.get("component", "").rpartition("-")[0] != kind:
                continue
            match one.name:
                case "hft_gateway_requests_total" if not one.labels["route"].startswith(UNASKED):
                    requests += one.value
                    failed += one.value if one.labels["status"].startswith("5") else 0
                    refused += one.value if one.labels["status"].startswith("4") else 0
                case "hft_gateway_request_seconds_bucket" if one.labels["route"] == "POST /orders":
                    latency[float(one.labels["le"])] += one.value
    return Answers(requests, failed, refused, dict(latency))
