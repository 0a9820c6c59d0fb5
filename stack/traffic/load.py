"""python -m stack.traffic.load: an honest load for a running stack.

Several worker processes with keep-alive connections send unique orders. With --rate the loop is open: latency counts from
the intended send time, and what could not be sent in time is counted. Without it the loop is closed, and said to be. The
warm-up is left out. What the load leaves open is cancelled at the end, for the account as a whole: give the load an account
of its own. It ends by itself.

An API key comes from --api-key-file or HFTCTL_API_KEY, never from the command line.

Exit codes: 0 done; 2 usage; 11 below --target-rate or --min-success; 13 unreachable, or no rights; 130 interrupted (with the
report of what was measured until then).
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from stack.traffic import load_machine as beside
from stack.traffic.load_driver import DRAIN_S, Counts, Plan
from stack.traffic.load_report import lines, merged, report
from stack.traffic.load_worker import KEY_VARIABLE

USAGE, BELOW_TARGET, UNREACHABLE, INTERRUPTED = 2, 11, 13, 130
START_DELAY_S = 0.2
READY_S_MAX = 20.0
METRICS_LAG_S = 0.6  # the engine publishes a few times a second


class Unusable(Exception):
    """The load cannot be made; carries the exit code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Door:
    """The public door, for everything around the load itself."""

    def __init__(self, url: str, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=10.0, trust_env=False)
        self.url = url

    def get(self, path: str, **parameters: str | int) -> Any:
        """The decoded answer; raises Unusable."""
        try:
            answer = self._client.get(path, params=parameters)
        except httpx.HTTPError as error:
            raise Unusable(UNREACHABLE, f"no stack answers at {self.url}: {error}") from None
        if answer.status_code != 200:
            code = USAGE if answer.status_code == 422 else UNREACHABLE
            raise Unusable(code, f"GET {path} at {self.url} is answered with {answer.status_code}: {answer.text[:200]}")
        return answer.json()

    def syncs(self) -> tuple[beside.Buckets, float]:
        try:
            answer = self._client.get("/metrics")
        except httpx.HTTPError:
            return {}, 0.0
        return beside.journal_syncs(answer.text) if answer.status_code == 200 else ({}, 0.0)

    def cancel_all(self, account: str) -> dict[str, Any]:
        try:
            answer = self._client.delete("/orders", params={"account": account}, timeout=60.0)
        except httpx.HTTPError as error:
            return {"cancelled": None, "problem": f"DELETE /orders?account={account}: {error}"}
        if answer.status_code != 200:
            return {"cancelled": None, "problem": f"DELETE /orders?account={account}: {answer.text[:200]}"}
        return {"cancelled": answer.json().get("cancelled")}


class Workers:
    """The processes; a signal asks them to finish early."""

    def __init__(self, plans: list[Plan]) -> None:
        self.interrupted = False
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "stack.traffic.load_worker"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
            )
            for _ in plans
        ]  # fmt: skip
        for process, plan in zip(self._processes, plans, strict=True):
            self._say(process, msgspec.json.encode(plan).decode())

    @staticmethod
    def _say(process: subprocess.Popen[str], line: str) -> None:
        assert process.stdin is not None  # noqa: S101  a pipe
        process.stdin.write(line + "\n")
        process.stdin.flush()

    def run(self, bound_s: float) -> list[Counts]:
        """Raises Unusable. `bound_s` after the start everything is over, answered or not."""
        for process in self._processes:
            line = process.stdout.readline().strip() if process.stdout else ""
            if line != "ready":
                raise Unusable(UNREACHABLE, line or f"a worker ended with exit code {process.wait(5)}")
        start_ns = time.monotonic_ns() + int(START_DELAY_S * 1e9)
        for process in self._processes:
            self._say(process, str(start_ns))
        found = []
        for process in self._processes:
            try:
                said, _ = process.communicate(timeout=bound_s)
            except subprocess.TimeoutExpired:
                raise Unusable(UNREACHABLE, f"a worker did not end {bound_s:.0f} s after the start") from None
            if process.returncode != 0:
                raise Unusable(UNREACHABLE, f"a worker ended with exit code {process.returncode}")
            found.append(msgspec.json.decode(said, type=Counts))
        return found

    def interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self.interrupted = True
        for process in self._processes:
            if process.poll() is None:
                process.terminate()

    def end(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def load(options: argparse.Namespace, key: str) -> tuple[dict[str, Any], int]:
    """The report and the exit code; raises Unusable."""
    host, port = _where(options.url, options.i_mean)
    door = Door(options.url, key)
    instruments = _instruments(door, options.symbols)
    door.get("/orders", account=options.account, limit=1)  # says now, in a sentence, when there is no such account
    machine = beside.machine()
    probe = _probed(options.sync_probe)
    run = f"l{int(time.time()):x}{secrets.token_hex(2)}"
    plans = _plans(options, host, port, run, instruments)
    before = door.syncs()
    workers = Workers(plans)
    handlers = {number: signal.signal(number, workers.interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    began = time.monotonic()
    try:
        counts = workers.run(START_DELAY_S + options.warmup + options.duration + DRAIN_S + READY_S_MAX)
        took_s = time.monotonic() - began - START_DELAY_S
    finally:
        workers.end()
        left = door.cancel_all(options.account)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if before[0]:
        time.sleep(METRICS_LAG_S)
    measured_s = min(options.duration, max(took_s - options.warmup, 0.0)) if workers.interrupted else options.duration
    total, histogram = merged(counts)
    document = {
        "apiVersion": "hftctl/v1",
        "kind": "Load",
        "url": options.url,
        "run": run,
        "interrupted": workers.interrupted,
        "clients": options.clients,
        "workers": options.workers,
        "mix": options.mix,
        "symbols": [instrument["symbol"] for instrument in instruments],
        "seed": options.seed,
        "warmup_s": options.warmup,
        "duration_s": round(measured_s, 3),
        **report(total, histogram, duration_s=measured_s, rate=options.rate),
        "target_per_s": options.target_rate,
        "disk_sync": probe,
        "journal_sync": beside.journal_syncs_between(before, door.syncs()),
        "left_open": left,
        "machine": machine,
    }
    if workers.interrupted:
        return document, INTERRUPTED
    below = document["success_percent"] < options.min_success or (
        options.target_rate is not None and document["achieved_per_s"] < options.target_rate
    )
    return document, BELOW_TARGET if below else 0


def _where(url: str, i_mean: bool) -> tuple[str, int]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "http" or not host or parts.path not in ("", "/"):
        raise Unusable(USAGE, f"--url {url}: http://HOST:PORT is wanted")
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if not loopback and not i_mean:
        raise Unusable(USAGE, f"{host} is another machine: give --i-mean if this load is meant for it")
    return host, parts.port or 80


def _instruments(door: Door, symbols: list[str] | None) -> list[dict[str, Any]]:
    known = {item["symbol"]: item for item in door.get("/instruments")["instruments"] if item["state"] == "open"}
    missing = [symbol for symbol in symbols or [] if symbol not in known]
    if missing or not known:
        raise Unusable(USAGE, f"no open instrument {', '.join(missing)}; there are {', '.join(known) or 'none'}")
    return [known[symbol] for symbol in symbols or known]


def _probed(folder: Path | None) -> dict[str, Any] | None:
    if folder is None:
        return None
    try:
        return beside.sync_probe(folder)
    except OSError as error:
        raise Unusable(USAGE, f"--sync-probe {folder}: {error.strerror or error}") from None


def _plans(
    options: argparse.Namespace, host: str, port: int, run: str, instruments: list[dict[str, Any]]
) -> list[Plan]:
    count, rest = divmod(options.clients, options.workers)
    return [
        Plan(
            worker=worker, host=host, port=port, clients=count + (worker < rest), rate=options.rate / options.workers,
            warmup_s=options.warmup, duration_s=options.duration, seed=options.seed, run=run, account=options.account,
            cancels=options.mix == "orders+cancels", instruments=instruments,
            history=str(options.history.absolute()) if options.history else None,
        )
        for worker in range(options.workers)
    ]  # fmt: skip


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stack.traffic.load", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--url", required=True, help="the public door, http://127.0.0.1:8080")
    parser.add_argument("--clients", type=int, default=40, help="connections")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--duration", "--duration-s", type=float, default=60.0, help="seconds that are measured")
    parser.add_argument("--warmup", type=float, help="seconds before; a tenth of the duration, at most 3, by default")
    parser.add_argument("--rate", type=float, default=0.0, help="requests per second, open loop; without: closed loop")
    parser.add_argument("--symbols", nargs="+", metavar="SYMBOL", help="all open ones by default")
    parser.add_argument("--account", default="load")
    parser.add_argument("--api-key-file", type=Path, metavar="FILE")
    parser.add_argument("--mix", choices=["orders", "orders+cancels"], default="orders")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target-rate", type=float, help="exit code 11 below so many per second")
    parser.add_argument("--min-success", type=float, default=100.0, metavar="PERCENT", help="exit code 11 below")
    parser.add_argument("--sync-probe", type=Path, metavar="DIR", help="measure a disk sync in this folder first")
    parser.add_argument("--history", type=Path, metavar="FILE", help="write every attempt as a line of JSON")
    parser.add_argument("--i-mean", action="store_true", help="yes, another machine than this one")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    options = parser.parse_args(words)
    if not 1 <= options.workers <= options.clients <= 10_000:
        parser.error(
            f"--clients {options.clients} --workers {options.workers}: at least one client each, 10000 at most"
        )
    if not 0 < options.duration <= 86_400 or options.rate < 0:
        parser.error("--duration is above 0 and at most 86400 seconds, --rate is not negative")
    if options.warmup is None:
        options.warmup = min(3.0, options.duration / 10)
    return options


def main() -> int:
    options = arguments()
    try:
        key = options.api_key_file.read_text().strip() if options.api_key_file else os.environ.get(KEY_VARIABLE, "")
        if key:
            os.environ[KEY_VARIABLE] = key  # for the workers: a command line could be read by everybody
        document, code = load(options, key)
    except Unusable as error:
        print(f"load: {error}", file=sys.stderr)
        return error.code
    except OSError as error:
        print(f"load: {error}", file=sys.stderr)
        return USAGE
    print(json.dumps(document) if options.json else "\n".join(lines(document)))
    return code


if __name__ == "__main__":
    sys.exit(main())
