"""What only an attacker or a broken client sends: one clear error, and nothing else suffers."""

import json
import socket

import pytest

from tests.stack.gateway.processes import Client, Process


@pytest.mark.parametrize("account", ["a%00b", "%ff%fe", "", "a" * 33, "a%20b"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_account_that_is_no_name_is_refused_and_history_stays(client: Client, method: str, account: str) -> None:
    status, error = client.call(method, f"/orders?account={account}")
    assert (status, error["code"], error["field"]) == (422, "bad_value", "account")
    assert client.call("GET", "/orders?account=alice")[0] == 200


@pytest.mark.parametrize(
    "sent", [b"GET /orders/0-\xd9\xa1 HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\r\n\r\n"]
)
def test_what_is_no_http_gets_an_error_in_json(shared_gateway: Process, sent: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(20)
        raw.connect(str(shared_gateway.run / shared_gateway.socket))
        raw.sendall(sent)
        head, _, body = b"".join(iter(lambda: raw.recv(65536), b"")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n")
    error = json.loads(body)
    assert (error["code"], error["field"]) == ("bad_request", None)
