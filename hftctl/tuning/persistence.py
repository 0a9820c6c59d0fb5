"""How a reboot finds settings again: sysctl.d, tmpfiles.d, a service for what has no fixed place, a udev rule for its cards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hftctl.tuning.knobs.sysctl import key_of
from hftctl.tuning.places.file import new
from hftctl.tuning.places.kind import split
from hftctl.tuning.places.pages import counter
from hftctl.tuning.setting import SERVICE, SYSCTL, TMPFILES, Setting, Situation, Skipped, Wish

KNOB = "persistence"
HEAD = "# Written by hftctl tune; hftctl tune revert takes it away.\n"
SYSCTLS = "/etc/sysctl.d/99-zzz-hftctl.conf"  # 99-hftctl would lose against the 99-sysctl.conf of Debian
TEMPORARY_FILES = "/etc/tmpfiles.d/zz-hftctl.conf"
UNIT = "/etc/systemd/system/hftctl-tune.service"
WANTED = "/etc/systemd/system/multi-user.target.wants/hftctl-tune.service"
RULES = "/etc/udev/rules.d/99-zz-hftctl.rules"


def wishes(at: Situation, settings: Sequence[Setting]) -> Iterator[Wish]:
    systemd = at.facts.surroundings.init == "systemd"
    if lines := [_sysctl(one) for one in settings if one.persist == SYSCTL]:
        yield from _file(
            at, SYSCTLS, HEAD + "".join(lines), "the same sysctls after a reboot; read after all other files"
        )
    if (lines := [_written(one) for one in settings if one.persist == TMPFILES]) and systemd:
        yield from _file(at, TEMPORARY_FILES, HEAD + "".join(lines), "the same kernel values after a reboot")
    serviced = [one for one in settings if one.persist == SERVICE]
    if not systemd and (serviced or lines):
        yield Skipped(UNIT, "no systemd here: start `hftctl tune apply --boot` from whatever starts this machine", KNOB)
        return
    if not serviced:
        return
    yield from _file(
        at, UNIT, unit(at.host.program), "settles at each start what has no fixed place: interrupts, cards"
    )
    if cards := sorted({_card(one) for one in serviced} - {""}):
        yield from _file(at, RULES, HEAD + "".join(map(_rule, cards)), "and again when a card appears")
    yield Setting(f"file:{WANTED}", {"link": UNIT}, "starts with the machine", knob=KNOB)


def _file(at: Situation, path: str, text: str, why: str) -> Iterator[Setting]:
    folder = path.rpartition("/")[0]
    yield Setting(f"folder:{folder}", {"folder": True}, "for the file below it", knob=KNOB)
    yield Setting(f"file:{path}", new(at.host, text), why, knob=KNOB)


def unit(program: str) -> str:
    return (
        f"{HEAD}[Unit]\nDescription=Host settings of hftctl that have no file of their own\n"
        "After=network.target systemd-tmpfiles-setup.service systemd-sysctl.service irqbalance.service hft.slice\n"
        "Before=kubelet.service\n\n"
        f"[Service]\nType=oneshot\nExecStart={program} -m hftctl tune apply --boot --yes\n\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )


def _sysctl(one: Setting) -> str:
    value = (one.wanted or {}).get("value", "")
    return f"{key_of(split(one.subject)[1])} = {value}\n"


def _written(one: Setting) -> str:
    kind, where = split(one.subject)
    wanted = one.wanted or {}
    path, value = (counter(where), wanted.get("pages")) if kind == "pages" else (where, wanted.get("value"))
    return f"w {path} - - - - {value}\n"


def _card(one: Setting) -> str:
    kind, where = split(one.subject)
    if kind == "nic":
        return where.partition("/")[0]
    return where.split("/")[4] if where.startswith("/sys/class/net/") else ""


def _rule(card: str) -> str:
    return f'ACTION=="add", SUBSYSTEM=="net", KERNEL=="{card}", TAG+="systemd", ENV{{SYSTEMD_WANTS}}+="hftctl-tune.service"\n'
