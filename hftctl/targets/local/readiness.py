"""Whether each component does its work yet. Every answer is a sentence; each question has a short time limit."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from hftctl.errors import NotFound
from hftctl.paths import Layout
from hftctl.plan.actuator import Answer, Readiness
from hftctl.plan.change import Spec
from hftctl.targets.admin import ask
from hftctl.targets.local import credentials, nginx, services
from hftctl.targets.local.components import kind, number
from hftctl.targets.local.process import read_record
from hftctl.targets.unix import connect

ASK_TIMEOUT_S = 2.0
REPLAYING = "replaying.json"  # in the partition's folder, see stack/matcher/progress.py
STATE_OLD_NS = 15_000_000_000  # a persister tells its state every second
BEHIND_NS = 5_000_000_000  # a lag that is worth a word

READY = Answer.READY
WAITING = Answer.WAITING


def of(layout: Layout, subject: str, spec: Spec) -> Readiness:
    """Of a component whose process runs with this spec."""
    try:
        match kind(subject):
            case "postgres":
                return _postgres(layout, spec)
            case "redis":
                return _redis(layout, spec)
            case "engine":
                return _engine(layout, number(subject), spec)
            case "gateway":
                return _gateway(layout, subject)
            case "persister":
                return _persister(layout, number(subject), spec)
            case _:
                return _nginx(spec)
    except OSError as error:
        return Readiness(WAITING, f"{subject} does not answer yet: {error.strerror or error}")


def connection(layout: Layout, port: int, *, database: str = services.DATABASE) -> dict[str, Any]:
    """Keyword arguments for psycopg."""
    return {
        "host": "127.0.0.1",
        "port": port,
        "dbname": database,
        "user": services.DATABASE_USER,
        "password": credentials.read(layout, services.POSTGRES_PASSWORD),
        "connect_timeout": 2,
    }


def _postgres(layout: Layout, spec: Spec) -> Readiness:
    port = int(spec["settings"]["settings"]["port"])
    socket.create_connection(("127.0.0.1", port), ASK_TIMEOUT_S).close()  # before the library is loaded
    import psycopg

    try:
        with psycopg.connect(**connection(layout, port, database="postgres"), require_auth="scram-sha-256") as server:
            version = server.info.server_version // 10000
    except psycopg.OperationalError as error:
        said = str(error).strip().splitlines()[-1]
        if "password authentication failed" in said and (layout.postgres(0) / "postmaster.pid").exists():
            return Readiness(
                Answer.FAILED,
                f"PostgreSQL on port {port} refuses our password: {layout.postgres(0)} was made with another one than "
                f"{layout.secrets / services.POSTGRES_PASSWORD} holds",
            )
        return Readiness(WAITING, f"PostgreSQL does not take logins yet: {said}")
    return Readiness(READY, f"PostgreSQL {version} takes logins on port {port}")


def _redis(layout: Layout, spec: Spec) -> Readiness:
    port = next(int(line.split()[1]) for line in spec["files"]["redis.conf"] if line.startswith("port "))
    password = credentials.read(layout, services.REDIS_PASSWORD)
    with socket.create_connection(("127.0.0.1", port), ASK_TIMEOUT_S) as server:
        server.settimeout(ASK_TIMEOUT_S)
        server.sendall(f"AUTH {password}\r\nPING\r\n".encode())
        said = b""
        while said.count(b"\r\n") < 2 and (piece := server.recv(4096)):
            said += piece
    if said == b"+OK\r\n+PONG\r\n":
        return Readiness(READY, f"Valkey answers on port {port}")
    return Readiness(WAITING, f"Valkey on port {port} does not answer PING: {said[:80]!r}")


def _engine(layout: Layout, partition: int, spec: Spec) -> Readiness:
    if (replaying := _replaying(layout, partition)) is not None:
        return replaying
    try:
        status = ask(layout.admin_socket(partition), {"command": "status"}, timeout_s=ASK_TIMEOUT_S)
    except NotFound:
        return Readiness(WAITING, f"engine-{partition} is starting: its admin door does not answer yet")
    return engine_answer(partition, status, spec["settings"].get("session_address"))


def _replaying(layout: Layout, partition: int) -> Readiness | None:
    """An engine opens its doors when it has replayed its journal; until then it writes down how far it is."""
    try:
        found = json.loads((layout.partition(partition) / REPLAYING).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    record = read_record(layout.run, f"engine-{partition}")
    if record is None or record.identity.pid != found["pid"]:
        return None  # left by one that was killed
    done, of = found["replayed"], found["of"]
    return Readiness(WAITING, f"engine-{partition} is replaying {done} of {of} commands of its journal", done)


def engine_answer(partition: int, status: Mapping[str, Any], session_address: str | None = None) -> Readiness:
    if status.get("stopped"):
        return Readiness(WAITING, f"engine-{partition} takes no commands: its journal failed, or it is stopping")
    halted = ", halted by an operator" if status.get("halted") else ""
    door = f", binary sessions at {session_address}" if session_address else ""
    return Readiness(READY, f"engine-{partition} takes commands, sequence {status.get('sequence')}{halted}{door}")


def _gateway(layout: Layout, subject: str) -> Readiness:
    status, body = get_unix(layout, services.gateway_socket(number(subject)), "/health/ready")
    if status == 200:
        return Readiness(READY, f"{subject} takes orders")
    return Readiness(WAITING, f"{subject} is not ready: {body.get('message', f'HTTP {status}')}")


def _persister(layout: Layout, partition: int, spec: Spec) -> Readiness:
    state = _persister_state(layout, partition)
    if state and state["failing"]:
        return Readiness(WAITING, f"persister-{partition}: {_failing(state)}{_behind(state)}")
    import psycopg

    postgres = spec["settings"]["postgres"]
    try:
        with psycopg.connect(**connection(layout, postgres["port"], database=postgres["database"])) as server:
            row = server.execute("SELECT sequence FROM checkpoint WHERE partition = %s", (partition,)).fetchone()
    except psycopg.Error as error:
        state = _persister_state(layout, partition)  # it may have noticed while we waited, and knows since when
        why = _failing(state) + _behind(state) if state and state["failing"] else str(error).strip().splitlines()[0]
        return Readiness(WAITING, f"persister-{partition}: {why}")
    if row is None:
        return Readiness(WAITING, f"persister-{partition} has not written its first checkpoint yet")
    behind = _behind(state) if state else ""
    return Readiness(READY, f"persister-{partition} runs, PostgreSQL has everything up to sequence {row[0]}{behind}")


def _persister_state(layout: Layout, partition: int) -> dict[str, Any] | None:
    """What it says of itself; None from one that has ended, or said nothing for a while."""
    try:
        found = json.loads((layout.run / services.persister_state(partition)).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    record = read_record(layout.run, f"persister-{partition}")
    old = time.time_ns() - found["time_ns"] > STATE_OLD_NS
    return None if old or record is None or record.identity.pid != found["pid"] else dict(found)


def _failing(state: Mapping[str, Any]) -> str:
    return "; ".join(
        f"{one['what']} does not work since {_since(one['since_ns'])}: {one['why']}" for one in state["failing"]
    )


def _behind(state: Mapping[str, Any]) -> str:
    if time.time_ns() - state["oldest_ns"] < BEHIND_NS or not state["oldest_ns"]:
        return ""
    return f"; {state['lag_events']} events wait, the oldest since {_since(state['oldest_ns'])}"


def _since(time_ns: int) -> str:
    moment = time.strftime("%H:%M:%S", time.gmtime(time_ns / 1e9))
    return f"{moment} UTC ({(time.time_ns() - time_ns) / 1e9:.0f} s)"


def _nginx(spec: Spec) -> Readiness:
    parts, answered = urlsplit(spec["endpoint"]), False
    client = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=ASK_TIMEOUT_S)
    try:
        client.request("GET", nginx.EDGE)
        edge = _document(client.getresponse())
        if edge.get("config") != spec["edge"]:
            return Readiness(WAITING, f"nginx still runs its old configuration {edge.get('config')}")
        answered = True
        client.request("GET", "/health")
        answer = client.getresponse()
        body = _document(answer)
    except TimeoutError:
        if not answered:
            raise
        return Readiness(
            WAITING,
            f"nginx answers, but no gateway behind it said within {ASK_TIMEOUT_S:g} s how it is ({parts.netloc}/health)",
        )
    except http.client.HTTPException as error:
        return Readiness(WAITING, f"what listens at {spec['endpoint']} does not speak HTTP: {error!r}")
    finally:
        client.close()
    if answer.status == 200:
        return Readiness(READY, f"{spec['endpoint']} answers, {body.get('status', 'ready')}")
    return Readiness(WAITING, f"{spec['endpoint']}/health says {answer.status}: {body.get('message', '')}")


def get_unix(layout: Layout, name: str, path: str) -> tuple[int, dict[str, Any]]:
    """GET over a Unix socket below `run/`."""
    client = http.client.HTTPConnection("localhost", timeout=ASK_TIMEOUT_S)
    client.sock = connect(layout.run / name, ASK_TIMEOUT_S)
    try:
        client.request("GET", path, headers={"Connection": "close"})
        answer = client.getresponse()
        return answer.status, _document(answer)
    except http.client.HTTPException as error:
        return 0, {"message": repr(error)}
    finally:
        client.close()


def _document(answer: http.client.HTTPResponse) -> dict[str, Any]:
    try:
        body = json.loads(answer.read(1 << 20))
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
