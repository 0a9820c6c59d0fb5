"""What a rehearsal looks like, and how a command that made one ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hftctl.cli import output
from hftctl.errors import Degraded, HftctlError, Inconclusive

if TYPE_CHECKING:
    from hftctl.tuning.rehearse.rehearsal import Rehearsal

SOURCES_SHOWN = 4


def body(result: Rehearsal) -> dict[str, Any]:
    from dataclasses import asdict

    found = asdict(result) | {"falls_by": result.falls_by}
    if result.guest is not None:
        found["guest"] = {
            "cpus": result.guest.present,
            "cpus_possible": result.guest.possible,
            "nodes": [{"cpus": list(node.cpus), "memory_bytes": node.memory_bytes} for node in result.guest.nodes],
            "memory_share": round(result.guest.share, 6),
        }
    return found


def ended(result: Rehearsal) -> HftctlError | None:
    how: dict[str, str] = {
        "panic": f"the kernel panics with this command line: {result.panic}",
        "stuck": f"the guest did not come up within {result.duration_s:.0f} s",
        "died": "the guest went down without a word",
    }
    if result.state in how:
        return Degraded(how[result.state], hint="do not boot it; take out words until it comes up")
    refused = [one for one in result.verdicts if one.accepted in {"no", "partly"}]
    if result.state == "findings":
        parts = [one.word for one in refused] + [one.code for one in result.findings]
        return Degraded(f"this command line would not do what it says: {', '.join(dict.fromkeys(parts))}")
    if result.state == "not rehearsed":
        sure = [one.code for one in result.findings if one.sure]
        if sure:
            return Degraded(f"by the rules alone, not rehearsed: {', '.join(dict.fromkeys(sure))}", hint=result.why_not)
        return Inconclusive(f"not rehearsed: {result.why_not}", hint="the rules found nothing, which proves little")
    return None


def show(result: Rehearsal) -> None:
    if result.state == "not rehearsed":
        output.hanging(output.paint("not rehearsed:", "33"), f"{result.why_not}; what follows are rules", gap=" ")
    else:
        _guest(result)
    if result.verdicts:
        rows = [[one.accepted, one.word, _joined(one.effective, one.note)] for one in result.verdicts]
        output.columns(["ACCEPTED", "REQUESTED", "EFFECTIVE"], rows)
    for finding in result.findings:
        guess = "" if finding.sure else " (only a rehearsal can tell)"
        text = ": ".join(filter(None, (finding.word, finding.message)))
        output.hanging(output.paint(f"{finding.code}:", "31" if finding.sure else "33"), f"{text}{guess}", gap=" ")
    if result.panic or result.last_words:
        output.put("the guest's last words:")
        for line in result.last_words[-12:]:
            output.put(f"  {line}")
    if result.left_out:
        output.hanging("left out, of the real machine only:", " ".join(result.left_out), gap=" ")
    _interrupts(result)


def _guest(result: Rehearsal) -> None:
    from hftctl.tuning.rehearse.shape import said

    shape = f", {said(result.guest)}" if result.guest is not None else ""
    part = (
        "" if result.guest is None or result.guest.share >= 1 else f", {100 * result.guest.share:.2g} % of the memory"
    )
    output.put(
        f"{result.kernel} ({result.kernel_release}) in QEMU by {result.accelerator}{shape}{part}, {result.duration_s:.1f} s"
    )


def _interrupts(result: Rehearsal) -> None:
    if not result.interrupts:
        return
    rows = []
    for one in result.interrupts:
        sources = sorted(one.sources.items(), key=lambda pair: -pair[1])[:SOURCES_SHOWN]
        said = ", ".join(f"{name} {count}" for name, count in sources) or "none"
        rows.append([one.cpu, "not isolated, to compare" if one.control else "isolated", f"{one.per_s:,.1f}", said])
    output.columns(["CPU", "", "INTERRUPTS/S", "WHICH, WHILE A BUSY LOOP RAN"], rows)
    if result.falls_by is not None:
        output.put(f"interrupts on the isolated CPUs fall by {result.falls_by:,.0f} times")


def _joined(effective: str, note: str) -> str:
    return f"{effective}; {note}" if note else effective
