"""The rehearsal: rules first, then a boot of the planned command line, and a verdict on each of its words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hftctl.errors import HftctlError, NotFound, UsageError
from hftctl.tuning import cpu_list
from hftctl.tuning.rehearse import rules, verdicts
from hftctl.tuning.rehearse import words as wording
from hftctl.tuning.rehearse.boot import TIMEOUT_S, Boot, boot
from hftctl.tuning.rehearse.kernel_image import KernelImage
from hftctl.tuning.rehearse.rules import Finding
from hftctl.tuning.rehearse.shape import Shape, guest, scaled
from hftctl.tuning.rehearse.verdicts import DEVICES, Seen, Verdict
from hftctl.tuning.rehearse.words import Word

ISOLATED_MEASURED_MAX = 4
SETTLE_MS = 1000
COUNT_MS = 3000
TROUBLE = ("no", "partly")


@dataclass(frozen=True)
class Interrupts:
    """Of one CPU that a busy loop had to itself, as far as the kernel let it. `control`: not isolated, to compare with."""

    cpu: int
    control: bool
    per_s: float
    sources: dict[str, int]


@dataclass(frozen=True)
class Rehearsal:
    """`state`: `accepted`, `findings`, `panic`, `stuck` (no end in time), `died`; or `not rehearsed`, with `why_not`."""

    state: str
    kernel: str
    kernel_release: str
    command_line: str
    left_out: tuple[str, ...]
    findings: tuple[Finding, ...]
    verdicts: tuple[Verdict, ...] = ()
    interrupts: tuple[Interrupts, ...] = ()
    panic: str = ""
    last_words: tuple[str, ...] = ()
    why_not: str = ""
    accelerator: str = ""
    guest: Shape | None = None
    duration_s: float = 0.0

    @property
    def falls_by(self) -> float | None:
        """How many times fewer interrupts an isolated CPU got than the control; the worst of them."""
        control = next((one.per_s for one in self.interrupts if one.control), 0.0)
        isolated = [one.per_s for one in self.interrupts if not one.control]
        if not control or not isolated:
            return None
        return control / max(*isolated, 1000 / COUNT_MS)  # none seen counts as one: that is all that is known


def rehearse(
    words: Sequence[Word],
    host: Shape,
    kernel: KernelImage | HftctlError,
    *,
    config: Mapping[str, str],
    accelerator: str = "",
    timeout_s: float = TIMEOUT_S,
) -> Rehearsal:
    """`kernel`: the image, or why there is none; then only the rules speak, as where QEMU is missing. `config`: what that
    kernel was built with; empty when nothing says.

    Raises UsageError where the words leave nothing to rehearse, Failed when QEMU itself could not start."""
    if not words:
        raise UsageError(
            "nothing to rehearse: the command line is empty", hint='hftctl tune rehearse --cmdline "isolcpus=2-3"'
        )
    kept = tuple(word for word in words if word.key not in wording.LEFT_OUT)
    left_out = tuple(word.text for word in words if word.key in wording.LEFT_OUT)
    image = kernel if isinstance(kernel, KernelImage) else None
    found = tuple(rules.examine(words, host, config))
    told = Rehearsal(
        "not rehearsed",
        str(image.path) if image else "",
        image.release if image else "",
        wording.line(words),
        left_out,
        found,
    )
    if isinstance(kernel, HftctlError):
        return replace(told, why_not=kernel.message)
    shape = guest(host, kept)
    guest_words = scaled(kept, shape.share)
    isolated, control = measured(kept, shape)
    try:
        seen = boot(
            kernel.path,
            guest_words,
            shape,
            _orders(kept, shape, isolated, control),
            accelerator=accelerator,
            timeout_s=timeout_s,
        )
    except NotFound as error:
        return replace(told, why_not=error.message)
    return _judged(replace(told, guest=shape), kept, guest_words, seen, isolated, control)


def measured(words: Sequence[Word], shape: Shape) -> tuple[tuple[int, ...], int]:
    """The isolated CPUs that get a busy loop, and one that is not isolated, to compare with."""
    asked: set[int] = set()
    for word in words:
        if word.key in {"isolcpus", "nohz_full"}:
            text = wording.split_flags(word.value or "")[1] if word.key == "isolcpus" else word.value or ""
            try:
                asked |= set(cpu_list.parse(text))
            except UsageError:
                continue
    present = range(shape.present)
    isolated = [cpu for cpu in present if cpu in asked and cpu != 0]
    others = [cpu for cpu in present if cpu not in asked] or [0]
    return tuple(isolated[:ISOLATED_MEASURED_MAX]), others[-1]


def _orders(words: Sequence[Word], shape: Shape, isolated: Sequence[int], control: int) -> list[str]:
    files = [f"file {path}" for path in verdicts.paths(words, len(shape.nodes))]
    spins = [f"spin {cpu}" for cpu in (*isolated, control)]
    return [*files, "home 0", *spins, f"wait {SETTLE_MS}", "interrupts", f"wait {COUNT_MS}", "interrupts", "dmesg"]


def _judged(
    told: Rehearsal,
    words: Sequence[Word],
    guest_words: Sequence[Word],
    seen: Boot,
    isolated: Sequence[int],
    control: int,
) -> Rehearsal:
    told = replace(told, accelerator=seen.accelerator, duration_s=seen.duration_s)
    if seen.ended != "done":
        state = {"panic": "panic", "timeout": "stuck"}.get(seen.ended, "died")
        return replace(told, state=state, panic=seen.panic, last_words=tuple(seen.last_words))
    judged = tuple(verdicts.judge(words, Seen(seen.files, seen.log, guest_words)))
    judged += _silent_isolation(judged, seen)
    # The kernel has spoken: what the rules only guessed at does not count any more.
    kept = tuple(one for one in told.findings if one.sure)
    trouble = kept or any(one.accepted in TROUBLE for one in judged)
    return replace(
        told,
        state="findings" if trouble else "accepted",
        findings=kept,
        verdicts=judged,
        interrupts=tuple(_interrupts(seen, isolated, control)),
    )


def _silent_isolation(judged: Sequence[Verdict], seen: Boot) -> tuple[Verdict, ...]:
    """isolcpus and nohz_full that both were taken, but for different CPUs: half an isolation, and nothing complains."""
    effective = {one.word.partition("=")[0]: one for one in judged if one.word.startswith(("isolcpus=", "nohz_full="))}
    if len(effective) < 2 or any(one.accepted in TROUBLE for one in effective.values()):
        return ()
    both = [seen.files.get(f"{DEVICES}/{name}", "").replace("(null)", "") for name in ("isolated", "nohz_full")]
    if both[0] == both[1]:
        return ()
    return (
        Verdict(
            "isolcpus, nohz_full", "the same CPUs", "partly", f"isolated {both[0] or 'none'}, without tick {both[1] or 'none'}",
            "a CPU that is in one of them only is half isolated",
        ),
    )  # fmt: skip


def _interrupts(seen: Boot, isolated: Sequence[int], control: int) -> list[Interrupts]:
    if len(seen.counted) < 2:
        return []
    first, last = seen.counted[0], seen.counted[-1]
    elapsed_s = max((last.at_ns - first.at_ns) / 1e9, 1e-9)
    found = []
    for cpu in (*isolated, control):
        moved = {
            name: count
            for name, row in last.interrupts.items()
            if (count := row.get(cpu, 0) - first.interrupts.get(name, {}).get(cpu, 0))
        }
        found.append(Interrupts(cpu, cpu == control, sum(moved.values()) / elapsed_s, moved))
    return found
