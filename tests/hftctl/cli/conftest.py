"""The command line in this process, over a target made of files and a door that answers what a test tells it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import jsonschema
import pytest

import hftctl.targets.local
from hftctl import paths
from hftctl.cli.main import run
from hftctl.operations import deploy as deploying
from hftctl.operations import request as requesting
from tests.hftctl.targets.fake import FakeTarget

SCHEMAS = Path(hftctl.__file__).parent / "cli" / "schemas"


class Ended(NamedTuple):
    code: int
    out: str
    err: str

    def document(self, kind: str) -> dict[str, Any]:
        """The one document on stdout, checked against its published schema."""
        found = json.loads(self.out)
        assert found["kind"] == kind, found
        jsonschema.validate(found, json.loads((SCHEMAS / f"{kind}.json").read_text()))
        return found


Hftctl = Callable[..., Ended]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HFTCTL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("NO_COLOR", "HFTCTL_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


@pytest.fixture
def hftctl_(capsys: pytest.CaptureFixture[str]) -> Hftctl:
    def call(*words: str) -> Ended:
        capsys.readouterr()
        code = run(list(words))
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return call


class Files(FakeTarget):
    """Takes the profiles that ship, and answers at the door of the test."""

    name = "local"
    fate: ClassVar[dict[str, list[str]]] = {}
    door = "http://127.0.0.1:1"
    key: str | None = None

    def __init__(self, deployment: str) -> None:
        super().__init__(paths.home(), deployment)

    def _known(self, release: Any) -> Any:
        gateways = release.profile["gateways"]
        more = {"version": gateways, "broken": [], "refused": [], "busy_ports": [], **self.fate}
        return replace(release, profile={**release.profile, **more})

    def preflight(self, release: Any) -> Any:
        return super().preflight(self._known(release))

    def desired(self, release: Any) -> Any:
        return super().desired(self._known(release))

    def endpoint(self) -> str:
        return self.door

    def operator_key(self) -> str | None:
        return self.key


ORDER = {
    "order_id": "0-7", "client_order_id": "x", "account": "proof", "symbol": "PROOF.0", "side": "buy", "type": "limit",
    "time_in_force": "GTC", "price": "100", "quantity": "1", "filled_quantity": "1", "leaves_quantity": "0",
    "average_price": "100", "status": "filled", "sequence": 7, "created_ns": 1, "updated_ns": 2,
    "fills": [{"trade_id": "0-1", "price": "100", "quantity": "1", "liquidity": "taker"}],
}  # fmt: skip


def proved(*_: object) -> list[dict[str, Any]]:
    return [
        {"partition": 0, "symbol": "PROOF.0", "order": ORDER, "rows": 2, "acknowledged_ms": 1.5, "persisted_ms": 40}
    ]


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> type[Files]:
    monkeypatch.setattr(hftctl.targets.local, "LocalTarget", Files, raising=False)
    monkeypatch.setattr(requesting, "prove_by_order", proved)
    monkeypatch.setattr(deploying.build, "build_if_stale", lambda **_: None)
    monkeypatch.setattr(Files, "fate", {})
    return Files


@pytest.fixture
def deployed(target: type[Files], hftctl_: Hftctl) -> Ended:
    return hftctl_("deploy", "--yes")


class Door:
    """Answers every request with what `answers` holds for it; remembers what was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, str, Any, str | None]] = []


@pytest.fixture
def door(deployed: Ended, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            size = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            found.asked.append((self.command, self.path, body, self.headers.get("authorization")))
            status, read = found.answers[f"{self.command} {self.path.partition('?')[0]}"]
            if status == 0:  # the connection ends without an answer
                self.close_connection = True
                return
            data = json.dumps(read).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Door(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setattr(Files, "door", found.url)
    yield found
    server.shutdown()
    server.server_close()
    thread.join()
