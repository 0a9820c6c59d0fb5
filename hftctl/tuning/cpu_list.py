"""CPU lists and masks as the kernel writes them: `0-3,8`, `ff,00000001`."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from hftctl.errors import UsageError

CPUS_MAX = 8192  # NR_CPUS of the largest kernels
MASK_BITS = 32


def parse(text: str) -> tuple[int, ...]:
    """Sorted, without repeats; the empty list for an empty text. Raises UsageError."""
    found: set[int] = set()
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UsageError(f"{text!r} is no list of CPUs such as 2-7,10: {part!r} is neither a number nor a range")
        low, high = int(first), int(last or first)
        if low > high or high >= CPUS_MAX:
            raise UsageError(
                f"{text!r} is no list of CPUs: {part!r} is not between 0 and {CPUS_MAX - 1} in rising order"
            )
        found.update(range(low, high + 1))
    return tuple(sorted(found))


def shown(cpus: Iterable[int]) -> str:
    """`0-3,8`: the shortest form, the one the kernel answers with."""
    runs: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if runs and cpu == runs[-1][1] + 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


def mask(cpus: Collection[int], *, width: int) -> str:
    """As the kernel prints masks of `width` possible CPUs: groups of 32 bits, the highest first, `0003,ffffffff`."""
    number = sum(1 << cpu for cpu in set(cpus))
    groups = []
    for low in range(0, max(width, 1), MASK_BITS):
        bits = min(MASK_BITS, max(width, 1) - low)
        groups.append(f"{(number >> low) & 0xFFFFFFFF:0{-(-bits // 4)}x}")
    return ",".join(reversed(groups))


def from_mask(text: str) -> tuple[int, ...]:
    number = int(text.replace(",", "").strip() or "0", 16)
    return tuple(cpu for cpu in range(number.bit_length()) if number >> cpu & 1)
