"""Every command of the command line, and the ways there are to run it: a terminal of tmux, one without colours, a pipe."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.main import get_command

from hftctl.cli.main import app
from tests.faults.stack import ROOT, Stack

PATIENCE_S = 60
HFTCTL = (sys.executable, "-m", "hftctl")
ESCAPE = re.compile(r"\x1b[^m]*?[A-Za-z]|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# commands stay whole, so that they can be copied; here they begin with HFTCTL
COPIED = re.compile(r"\s*(hint|fix|repair|curl)\b|\s+(or |(\S+ -m )?hftctl )")


@dataclass(frozen=True)
class Row:
    """How a command is run here. `{profile}`, `{plan}`, `{name}`, `{free}` are filled in."""

    words: str = ""  # behind the command's own name
    ends: tuple[int, ...] = (0,)
    kind: str = ""  # of its document; empty: it has none
    raw: bool = False  # logs, differences: its lines are as wide as what they quote


DRY = "-p {name} --dry-run"
ROWS: Mapping[str, Row] = {
    "doctor": Row("{profile}", (0, 9), "Doctor"),
    "build": Row("", (0,), "Build"),
    "profile list": Row("", (0,), "ProfileList"),
    "profile show": Row("{profile}", (0,), "Profile", raw=True),
    "profile check": Row("{profile}", (0,), "ProfileCheck"),
    "profile schema": Row("", (0,), "ProfileSchema", raw=True),
    "profile docs": Row("gateways", (0,), "ProfileDocs"),
    "profile import": Row("{free}/no-such.toml", (2, 13), "ProfileImport"),
    "plan": Row("{profile}", (0, 3), "Plan"),
    "apply": Row("{plan} --dry-run", (0,), "Rollout"),
    "render": Row("{profile} --to {free}/rendered", (0,), "Rendered", raw=True),
    "diff": Row("now {changed} -p {name}", (3,), "Diff", raw=True),
    "drift": Row("-p {name}", (0, 3), "Drift", raw=True),
    "deploy": Row("{changed} --dry-run", (0,), "Rollout"),
    "scale": Row("gateway=3 " + DRY, (0,), "Rollout"),
    "restart": Row("gateway " + DRY, (0,), "Rollout"),
    "rollback": Row(DRY, (13,), "Rollout"),
    "rollout status": Row("-p {name}", (0,), "RolloutStatus"),
    "rollout continue": Row(DRY, (0, 7, 13), "Rollout"),
    "rollout abort": Row(DRY, (0, 7, 13), "Rollout"),
    "status": Row("-p {name}", (0,), "Status"),
    "logs": Row("-p {name} --tail 5", (0,), "Logs", raw=True),
    "events": Row("-p {name}", (0,), "Events"),
    "exec": Row("-p {name} engine -- sh -c 'echo out; exit 9'", (9,)),
    "forward": Row("postgres -p no-such", (13,), "Forward"),
    "order place": Row("AAPL buy 10 190.01 -p {name} --account demo --dry-run", (0,), "Order"),
    "order cancel": Row("0-999999999 -p {name} --dry-run", (0, 13), "Order"),
    "order show": Row("0-999999999 -p {name}", (13,), "Order"),
    "book": Row("AAPL -p {name}", (0,), "Book"),
    "load": Row("-p {name} --clients 2 --duration 200ms", (0,), "Load"),
    "replay": Row("{free}/no-such-day -p {name}", (13,), "Replay"),
    "stop": Row(DRY, (0,), "Stop"),
    "start": Row(DRY, (0,), "Rollout"),
    "halt": Row("--why drill " + DRY, (0,), "Halt"),
    "drain": Row("--why drill " + DRY, (0,), "Drain"),
    "resume": Row("--why drill " + DRY, (0,), "Resume"),
    "history": Row("-p {name}", (0,), "History"),
    "backup create": Row("-p no-such --store {free}/no-backups", (13,), "Backup"),
    "backup mark": Row("before -p no-such --store {free}/no-backups", (13,), "Backup"),
    "backup prune": Row("-p {name} --store {free}/no-backups --dry-run", (2, 13), "BackupPrune"),
    "backup list": Row("-p {name} --store {free}/no-backups", (0, 2, 13), "BackupList"),
    "backup verify": Row("no-such -p {name} --store {free}/no-backups", (2, 13), "BackupVerification"),
    "backup drill": Row("no-such -p {name} --store {free}/no-backups", (2, 13), "BackupDrill"),
    "backup restore": Row("no-such --store {free}/no-backups " + DRY, (2, 13), "BackupRestore"),
    "tune facts": Row("", (0,), "TuneFacts", raw=True),
    "tune show": Row("", (0,), "TuneShow", raw=True),
    "tune plan": Row("", (0, 3, 7), "TunePlan", raw=True),
    "tune apply": Row("--dry-run", (0, 3, 7), "TuneResult", raw=True),
    "tune verify": Row("", (0, 3, 13), "TuneVerification", raw=True),
    "tune revert": Row("--dry-run", (0, 13), "TuneResult", raw=True),
    "tune hosts": Row("show {profile}", (2,), "TuneHosts"),
    "tune pods": Row("{free}/no-such.yaml", (2,), "TunePods"),
    "bench scaling": Row("--gateways 0", (2,), "Scaling"),
    "tune probe": Row("--cpus 0 --duration 200ms", (0, 8, 9), "TuneProbe", raw=True),
    "tune rehearse": Row("no-such", (2,), "TuneRehearsal"),
    "destroy": Row(DRY, (0,), "Destroy"),
}


def commands(command: Any = None, path: str = "") -> Iterator[str]:
    """What the program itself says it can do."""
    command = command or get_command(app)
    inner = getattr(command, "commands", {})
    if not inner:
        yield path
    for name, one in inner.items():
        yield from commands(one, f"{path} {name}".strip())


def takes(command: str, option: str) -> bool:
    found = get_command(app)
    for name in command.split():
        found = found.commands[name]
    return any(option in parameter.opts for parameter in found.params)


def words(command: str, stack: Stack) -> list[str]:
    """The command line of its row."""
    filled = ROWS[command].words.format(
        name=stack.name, profile=stack.profile, plan=stack.home / "plan.json", changed=stack.home / "changed.yaml",
        free=stack.home,
    )  # fmt: skip
    return [*command.split(), *shlex.split(filled)]


@dataclass(frozen=True)
class Piped:
    code: int
    out: str
    err: str


def piped(stack: Stack, *line: str) -> Piped:
    environment = {name: value for name, value in stack.environment.items() if name != "NO_COLOR"} | {"TERM": "xterm"}
    done = subprocess.run(
        [*HFTCTL, *line], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    return Piped(done.returncode, done.stdout, done.stderr)


class Terminal:
    """A terminal of our own, byte by byte as a program wrote them; Ctrl-C reaches it as it does from a keyboard."""

    def __init__(self, stack: Stack, *line: str, columns: int = 80, **environment: str) -> None:
        keys, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (50, columns))
        size = {"COLUMNS": str(columns), "LINES": "50"}
        inherited = {name: value for name, value in stack.environment.items() if name != "NO_COLOR"}
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *line], cwd=ROOT, env={**inherited, "TERM": "xterm", **size, **environment},
            stdin=theirs, stdout=theirs, stderr=theirs,
        )  # fmt: skip
        os.close(theirs)
        self._keys = keys
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._keys, text.encode())

    def until(self, text: str) -> str:
        """Read on until `text` comes; what came since the last call."""
        before, deadline = len(self.shown), time.monotonic() + PATIENCE_S
        while text not in self.shown[before:]:
            if not self._read(deadline):
                raise AssertionError(f"waited for {text!r}; there is:\n{self.shown}")
        return self.shown[before:]

    def end(self) -> int:
        deadline = time.monotonic() + PATIENCE_S
        while self._read(deadline):
            continue
        os.close(self._keys)
        return self.process.wait(PATIENCE_S)

    def _read(self, deadline: float) -> bool:
        if not select.select([self._keys], [], [], max(deadline - time.monotonic(), 0))[0]:
            self.process.kill()
            raise AssertionError(f"nothing came in time; there is:\n{self.shown}")
        try:
            data = os.read(self._keys, 65536)
        except OSError:  # the last process of the terminal has ended
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)


class Tmux:
    """A tmux server of our own; every command gets a window of its own and is shown as a person sees it."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self._home / "tmux"), "-f", "/dev/null", *arguments],
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        if done.returncode:
            raise AssertionError(f"tmux {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def show(self, stack: Stack, name: str, line: list[str], columns: int, **more: str) -> tuple[int, str]:
        """Exit code and screen, with the colours that reached it; a line that the terminal broke is whole again."""
        file = self._home / f"{name}.code"
        environment = " ".join(
            shlex.quote(f"{key}={value}") for key, value in {"HFTCTL_HOME": str(stack.home), **more}.items()
        )
        unset = "" if "NO_COLOR" in more else "-u NO_COLOR"
        script = (
            f"env {unset} {environment} {shlex.join([*HFTCTL, *line])}; echo $? > {shlex.quote(str(file))}; "
            f"tmux wait-for -S {name}; exec cat"
        )
        self("new-session", "-d", "-s", name, "-x", str(columns), "-y", "50", "-c", str(ROOT), script)
        try:
            self("wait-for", name)
            return int(file.read_text()), self("capture-pane", "-p", "-e", "-J", "-S", "-", "-t", name).rstrip()
        finally:
            self("kill-session", "-t", name)


@contextmanager
def tmux(home: Path) -> Iterator[Tmux]:
    server = Tmux(home)
    server("new-session", "-d", "-s", "keeps-the-server", "cat")
    server("set-option", "-g", "history-limit", "5000")
    try:
        yield server
    finally:
        server("kill-server")


def too_wide(row: Row, screen: str, columns: int) -> list[str]:
    """Lines that a terminal has to break though they are ours, and hold no single word that is too long for it."""
    if row.raw:
        return []
    lines = [COLOUR.sub("", line).rstrip() for line in screen.splitlines()]
    wide = [line for line in lines if len(line) > columns and not COPIED.match(line)]
    return [line for line in wide if max(map(len, line.split())) < columns - 30]
