"""A kernel value, where this kernel offers it."""

from __future__ import annotations

from hftctl.tuning.places.kernel_value import normal
from hftctl.tuning.setting import Setting, Situation, Skipped, Wish


def kernel(
    at: Situation, path: str, value: str, why: str, *, knob: str, persist: str, risk: str = "", disruptive: str = ""
) -> Wish:
    if at.host.read(path) is None:
        return Skipped(path, "this kernel or machine does not offer it", knob)
    if f"kernel:{path}" in at.unchangeable:
        return Skipped(path, "it was refused when it was tried: its driver cannot do it", knob)
    if at.host.read_only(path):
        return Skipped(path, "it is read-only here: another namespace, or the machine below, decides", knob)
    return Setting(
        f"kernel:{path}",
        {"value": normal(path, value)},
        why,
        persist=persist,
        risk=risk,
        disruptive=disruptive,
        knob=knob,
    )


def choice(
    at: Situation, path: str, value: str, why: str, *, knob: str, persist: str, among: str = "", risk: str = ""
) -> Wish:
    """Only where the kernel lists the value, in the file itself or in the one beside it that is named."""
    listed = at.host.read(among or path)
    if listed is None or value not in listed.replace("[", "").replace("]", "").split():
        offers = f"it offers {listed}" if listed else "it is not there"
        return Skipped(path, f"{value} is not offered: {offers}", knob)
    return kernel(at, path, value, why, knob=knob, persist=persist, risk=risk)
