"""How a rollout that ended well is told: the address, the order it proved itself with, and what to try next."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hftctl.cli import output
from hftctl.cli.called import typed
from hftctl.cli.render import show_plan

if TYPE_CHECKING:
    from hftctl.operations.terms import RolloutResult

Write = Callable[[str], None]


def deployed(result: RolloutResult, profile: Mapping[str, Any], write: Write) -> None:
    if result.result == "planned":
        show_plan(result.plan, write)
        for finding in result.findings:
            write(f"warning: {finding.subject}: {finding.message}")
        return
    name, took = result.deployment, output.duration(result.duration_s)
    if result.result == "unchanged":
        write(f"nothing to do: '{name}' stands at {result.endpoint} as revision {result.revision} ({took})")
        return
    write(f"'{name}' is ready at {output.paint(result.endpoint, '1;32')} (revision {result.revision}, {took})")
    show_pauses(result, write)
    for proof in result.proofs:
        output.hanging("proved by", _proof(proof), write, gap=" ")
    if not result.proofs:
        write("not proved: it was not waited for")
    for said in (*result.canary, *filter(None, [result.baked])):
        write(said)
    write("")
    write("next:")
    for step in steps(result.endpoint, name, profile):
        write(f"  {typed(step)}")


def changed(result: RolloutResult) -> None:
    """Of what stood already: nobody needs to be told what to try first."""
    write, name = output.put, result.deployment
    if result.result == "planned":
        show_plan(result.plan, write)
        for finding in result.findings:
            write(f"warning: {finding.subject}: {finding.message}")
    elif result.result == "unchanged":
        write(f"nothing to do: '{name}' stands as {_revision(result)}")
    elif result.result == "aborted":
        write(typed(f"'{name}' was taken down; data stays: hftctl destroy -p {name} --data removes it"))
    else:
        took = output.duration(result.duration_s)
        write(f"{result.verb} of '{name}' is done: {_revision(result)} is ready at {result.endpoint} ({took})")
        show_pauses(result, write)
        for proof in result.proofs:
            output.hanging("proved by", _proof(proof), write, gap=" ")
        if not result.proofs:
            write("not proved: it was not waited for")
        for said in (*result.canary, *filter(None, [result.baked])):
            write(said)


def show_pauses(result: RolloutResult, write: Write) -> None:
    for component, pause_ms in result.pauses.items():
        write(f"{component} paused for {pause_ms:.0f} ms; what came meanwhile waited")


def _revision(result: RolloutResult) -> str:
    return f"revision {result.revision}" if result.revision else "it is"


def _proof(proof: Mapping[str, Any]) -> str:
    order = proof["order"]
    return (
        f"order {order['order_id']}: {order['side']} {order['quantity']} {order['symbol']} at {order['average_price']}, "
        f"{order['status']}; acknowledged in {proof['acknowledged_ms']:.1f} ms, "
        f"in PostgreSQL {proof['persisted_ms']:.0f} ms later"
    )


def steps(endpoint: str, name: str, profile: Mapping[str, Any]) -> list[str]:
    instrument = next((one for one in profile["instruments"] if one["state"] == "open"), profile["instruments"][0])
    price = Decimal(instrument["base_price"]) + _round("100", instrument["tick_size"])
    order = {
        "client_order_id": "first-1",
        "account": profile["accounts"][0],
        "symbol": instrument["symbol"],
        "side": "buy",
        "type": "limit",
        "price": f"{price:f}",
        "quantity": f"{_round('1', instrument['lot_size']):f}",
        "time_in_force": "GTC",
    }
    which = "" if name == "local" else f" -p {name}"
    if profile["authentication"] == "api_key":  # no key belongs on a command line, not even on one we propose
        words = f"{order['symbol']} buy {order['quantity']} {order['price']} --account {order['account']}"
        first = f"hftctl order place {words}{which} --yes"
    else:
        first = f"curl -s {endpoint}/orders -H 'content-type: application/json' -d '{json.dumps(order)}'"
    return [
        first,
        f"hftctl status{which}",
        f"hftctl logs -f{which}",
        f"hftctl load{which} --clients 40 --duration 10s",
    ]


def _round(wanted: str, step: str) -> Decimal:
    """A number that reads well, when it is a multiple of the step; else the step."""
    return Decimal(wanted) if Decimal(wanted) % Decimal(step) == 0 else Decimal(step)
