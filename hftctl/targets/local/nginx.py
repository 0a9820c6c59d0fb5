"""The public door: nginx in front of the gateways, and of the engine's order socket where the layout says so. Pure."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hftctl.paths import Layout
from hftctl.plan.change import Spec
from hftctl.targets.local.binaries import Binary
from hftctl.targets.local.services import gateway_socket, order_socket

BODY_BYTES_MAX = "1m"
IDLE_MAX = 64  # connections that a worker keeps open to what stands behind it
# Each address stands so often in its upstream, and nginx never tries an entry twice for one request: after a service ended, a
# request may meet every idle connection that ended with it, all in one go, before it gets a new one, which waits for the
# next process.
TRIES = IDLE_MAX + 1
EDGE = "/health/edge"  # answered by nginx itself: which configuration it runs

ERRORS = {
    400: ("bad_request", "nginx could not read the request"),
    404: ("not_found", "there is nothing at this address"),
    405: ("method_not_allowed", "this address does not take this method"),
    408: ("timeout", "the request did not arrive in time"),
    411: ("length_required", "the request has no Content-Length"),
    413: ("body_too_large", "a body may have up to 1 MiB"),
    414: ("uri_too_long", "the address is too long"),
    429: ("too_many_requests", "too many requests; try again later"),
    431: ("headers_too_large", "the headers are too large"),
    501: ("not_implemented", "only chunked is understood as Transfer-Encoding"),
    505: ("http_version", "only HTTP/1.0 and HTTP/1.1 are understood"),
    500: ("internal", "the public door failed; see the log of nginx"),
    503: ("unavailable", "nothing answers behind the public door; try again"),
    504: ("outcome_unknown", "no answer in time: what was asked for may have been done; ask for it, or send it again with the same id"),
}  # fmt: skip
SHOWN_AS = {494: 431, 495: 400, 496: 400, 497: 400, 502: 504}


NO_POST = 418  # never seen outside: how the addresses of orders hand other methods on


@dataclass(frozen=True)
class Share:
    """Gateways that get `percent` of the requests between them; 0: those that take over when all others fail."""

    sockets: tuple[str, ...]
    percent: int


KEEPS_FROM = (1, 27, 4)  # the first nginx that leaves an idle connection open for a while when it is told to end


@dataclass(frozen=True)
class Place:
    """Where an nginx runs, as far as its configuration has to know."""

    error_log: str
    listen: str
    user: str = ""  # of the workers; empty: who starts it
    gateways: tuple[str, ...] = ()  # host:port of each, where they are no sockets beside it


def spec(profile: Mapping[str, Any], layout: Layout, binary: Binary, *, door: bool, processors: int) -> Spec:
    program = binary.path
    # As nobody the workers could not open the sockets, which are ours alone.
    user = "root" if os.geteuid() == 0 else ""
    place = Place(error_log=str(layout.logs / "nginx.log"), listen=_address(profile), user=user)
    lines, digest = conf(profile, place, door=door, keeps=binary.numbers >= KEEPS_FROM, processors=processors)
    return {
        "files": {"nginx.conf": lines},
        "edge": digest,
        "endpoint": endpoint(profile),
        "replaced": "start-first; a new configuration by reload",
        "process": {
            "argv": [str(program), "-p", f"{layout.run}/", "-c", str(layout.config / "nginx.conf"),
                     "-e", str(layout.logs / "nginx.log")],
            # SIGQUIT lets requests end; idle connections are closed at once.
            "stop": [["SIGQUIT", 15.0], ["SIGTERM", 5.0]],
            "reload": "SIGHUP",
            # The supervisor holds the port: no connection is refused while nginx restarts, and two can share it.
            "listens": {"http": _address(profile)},
            "listen_as": "NGINX",
            "start_first": True,
            "ready": "workers",
            "program": program.name,
            "logs": ["nginx.log"],
            "reopen": "SIGUSR1",
        },
    }  # fmt: skip


def conf(
    profile: Mapping[str, Any],
    place: Place,
    *,
    door: bool,
    keeps: bool,
    processors: int,
    shares: Sequence[Share] = (),
) -> tuple[list[str], str]:
    """The lines of the configuration, and the digest by which nginx tells at EDGE that it runs them.

    `processors` are the machine's. With `shares` requests are divided by them, otherwise they go to whoever has the fewest.
    """
    upstreams = list(_upstreams(profile, place, door=door, processors=processors, shares=shares))
    lines = list(_lines(profile, place, upstreams, door=door, keeps=keeps))
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]
    return [line.replace("@digest@", digest) for line in lines], digest


def _address(profile: Mapping[str, Any]) -> str:
    bind = profile["bind"]
    return f"{f'[{bind}]' if ':' in bind else bind}:{profile['ports']['http']}"


def endpoint(profile: Mapping[str, Any]) -> str:
    """Where a client on this machine reaches the door."""
    bind = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(profile["bind"], profile["bind"])  # noqa: S104 - a comparison
    host = f"[{bind}]" if ":" in bind else bind
    return f"http://{host}:{profile['ports']['http']}"


def _lines(
    profile: Mapping[str, Any], place: Place, upstreams: Sequence[str], *, door: bool, keeps: bool
) -> Iterator[str]:
    yield "daemon off;"
    yield "pid nginx.pid;"
    yield f"worker_processes {profile['system']['max_workers']};"
    if place.user:
        yield f"user {place.user};"
    yield f'error_log "{place.error_log}" warn;'
    yield "worker_shutdown_timeout 10s;"
    yield "events { worker_connections 4096; }"
    yield "http {"
    yield from (f"    {line}" if line else "" for line in _http(place, upstreams, door=door, keeps=keeps))
    yield "}"


def _http(place: Place, upstreams: Sequence[str], *, door: bool, keeps: bool) -> Iterator[str]:
    yield "access_log off;"
    yield "server_tokens off;"
    yield "default_type application/json;"
    for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
        yield f"{name}_temp_path nginx.{name};"
    yield f"client_max_body_size {BODY_BYTES_MAX};"
    yield f"client_body_buffer_size {BODY_BYTES_MAX};"  # a body never touches the disk, and can be sent on again
    yield "client_header_timeout 15s;"
    yield "client_body_timeout 15s;"
    yield "large_client_header_buffers 4 16k;"
    yield "keepalive_requests 10000000;"
    yield "keepalive_timeout 75s;"
    if keeps:
        # A worker that a reload or restart replaces would close idle connections at once, just when a client may be sending.
        # So it waits for that client's next request and says with its answer that the connection ends.
        yield "keepalive_min_timeout 2s;"
    yield ""
    yield from upstreams
    yield ""
    yield "map $http_upgrade $hop { default upgrade; '' ''; }"
    yield ""
    yield "server {"
    yield from (
        f"    {line}" if line else ""
        for line in _server(place, sum(" server " in line for line in upstreams), door=door)
    )
    yield "}"


def _orders(path: str, *lines: str) -> Iterator[str]:
    """What is posted here goes to the engine. Next to nothing is evaluated for an order: no map, no name looked up, no header
    that only gateways want."""
    yield f"location = {path} {{"
    yield f"    error_page {NO_POST} = @gateway;"
    yield from (f"    {line}" for line in (*_error_pages(), *lines))
    yield f"    if ($request_method != POST) {{ return {NO_POST}; }}"
    yield '    proxy_set_header Connection "";'
    yield "    proxy_set_header Host orders;"
    yield "    proxy_pass http://orders;"
    yield "}"


def _error_pages() -> Iterator[str]:
    for status in (*ERRORS, *SHOWN_AS):
        shown = SHOWN_AS.get(status, status)
        yield f"error_page {status} ={shown} /.error/{shown};"


def _upstreams(
    profile: Mapping[str, Any], place: Place, *, door: bool, processors: int, shares: Sequence[Share]
) -> Iterator[str]:
    if door:
        yield "upstream orders {"
        for _ in range(TRIES):
            yield f"    server unix:{order_socket(0)} max_fails=0;"
        yield from _keepalive()
    yield "upstream gateways {"
    if not shares:
        yield "    least_conn;"
    # Numbers without a common divisor, so that a full turn of all of them is short.
    weights = {share: share.percent * math.lcm(*(len(one.sockets) for one in shares)) // len(share.sockets)
               for share in shares}  # fmt: skip
    divisor = math.gcd(*weights.values()) or 1
    entries = [(f"unix:{socket}", weights[share] // divisor) for share in shares for socket in share.sockets]
    entries = entries or [(address, 1) for address in place.gateways] or _in_turn(profile, processors)
    taking = [(address, weight) for address, weight in entries if weight]
    repeats = -(-TRIES // len(taking))
    for address, weight in taking * repeats:
        yield f"    server {address}{f' weight={weight}' if weight > 1 else ''} max_fails=0;"
    for address, _ in [(address, weight) for address, weight in entries if not weight] * repeats:
        yield f"    server {address} max_fails=0 backup;"
    yield from _keepalive()


def in_turn(profile: Mapping[str, Any], processors: int) -> int:
    """How many gateways take requests while none of them fails. Releases from before there was a choice used all of them.

    An order costs engine, nginx and persister together about what it costs a gateway, so half of the processors are the gateways'.
    More processes than that share the same ones: each wakes for a single request, where fewer answer a dozen per wake-up. Two at
    least: one that hangs holds up half of the requests then, and not all.
    """
    wanted = int(profile.get("gateways_in_turn", profile["gateways"])) or max(2, processors // 2)
    return min(wanted, int(profile["gateways"]))


def _in_turn(profile: Mapping[str, Any], processors: int) -> list[tuple[str, int]]:
    taking = in_turn(profile, processors)
    numbers = range(1, profile["gateways"] + 1)
    return [(f"unix:{gateway_socket(number)}", 1 if number <= taking else 0) for number in numbers]


def _keepalive() -> Iterator[str]:
    yield f"    keepalive {IDLE_MAX};"
    yield "    keepalive_requests 10000000;"
    yield "}"


def _server(place: Place, tries: int, *, door: bool) -> Iterator[str]:
    yield f"listen {place.listen} backlog=4096 default_server;"
    yield "server_name _;"
    yield from _error_pages()
    yield ""
    yield "proxy_http_version 1.1;"
    yield "proxy_set_header Host $host;"
    yield "proxy_set_header X-Forwarded-For $remote_addr;"
    yield "proxy_set_header Upgrade $http_upgrade;"
    yield "proxy_set_header Connection $hop;"
    yield "proxy_connect_timeout 5s;"
    yield "proxy_read_timeout 20s;"
    yield "proxy_send_timeout 20s;"
    # Safe for every method: orders and replacements carry ids, cancels and halts mean the same twice.
    yield "proxy_next_upstream error timeout non_idempotent;"
    yield f"proxy_next_upstream_tries {tries};"  # every entry that there is, those that stand by too
    yield "proxy_next_upstream_timeout 20s;"
    yield "proxy_max_temp_file_size 0;"
    yield "proxy_buffers 16 32k;"
    # For the head and a single order's answer. A larger one is mapped and unmapped for every request where malloc is musl's,
    # as in the wheel's nginx: 5 us of 38 per order.
    yield "proxy_buffer_size 4k;"
    yield ""
    yield f"location = {EDGE} {{"
    yield """    return 200 '{"status":"ok","config":"@digest@"}';"""
    yield "}"
    yield "location / {"
    yield "    proxy_pass http://gateways;"
    yield "}"
    if door:
        yield from _orders("/orders", "proxy_buffering off;")  # its answer fits into the first buffer
        yield from _orders("/orders/batch")
        # The engine's fast parser hands on what it does not take, the body with it.
        yield "location @gateway {"
        yield "    proxy_pass http://gateways;"
        yield "}"
    for status, (code, message) in ERRORS.items():
        body: dict[str, Any] = {"code": code, "message": message, "field": None}
        if status == 504:
            body["outcome"] = "unknown"
        # Not a named location: a request that could not be read has no address to keep.
        yield f"location = /.error/{status} {{ internal; return {status} '{json.dumps(body, separators=(',', ':'))}'; }}"
