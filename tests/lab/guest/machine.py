"""One QEMU process with a disk: started, talked to, snapshotted, switched off, or cut off like by a power failure."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import socket
import subprocess
import tempfile
import time
import zlib
from pathlib import Path
from types import TracebackType

from hftctl.tuning.rehearse import qemu

BOOT_TIMEOUT_S = 900.0  # by emulation, on a machine that does other things too
# One CPU for the house and one to isolate: each more of them costs an emulator more than it shows. Untouched memory is free.
CPUS, MEMORY_MIB = 2, 6144
ACCELERATOR = os.environ.get("HFTCTL_LAB_ACCELERATOR", "tcg,thread=multi")  # kvm where it works: several times as fast


class Dead(Exception):
    """The guest did not come up, or does not answer: the end of its console is in the message."""


class Guest:
    def __init__(self, disk: Path, *, second: Path, snapshot: str = "") -> None:
        """`second`: a file that the guest sees as /dev/vdb. `snapshot`: go on from there instead of booting."""
        self.disk, self.second, self.snapshot = disk, second, snapshot
        self.folder = Path(tempfile.mkdtemp(prefix="lab-guest-"))
        self.console = self.folder / "console"
        self.boot_id, self._pending, self._number, self._greeted = "", b"", 0, False
        self._start()

    def __enter__(self) -> Guest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, Dead):
            error.add_note(f"the end of the guest's console: {self.last_words()}")
        self.cut()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        program = qemu.program()
        assert program is not None, "qemu-system-x86_64 is not installed: apt install qemu-system-x86"
        for name in ("agent", "monitor"):
            (self.folder / name).unlink(missing_ok=True)
        drives = [("0", self.disk, "qcow2"), ("1", self.second, "raw")]
        words = [
            program, "-nodefaults", "-no-user-config", "-display", "none", "-machine", "pc", "-accel", ACCELERATOR,
            "-cpu", qemu.PROCESSOR[ACCELERATOR.partition(",")[0]], "-smp", f"{CPUS},sockets={CPUS}", "-m", f"{MEMORY_MIB}M",
            "-netdev", "user,id=net0,restrict=on", "-device", "virtio-net-pci,netdev=net0,romfile=",
            "-serial", f"file:{self.console}", "-serial", f"unix:{self.folder / 'agent'},server=on,wait=off",
            "-monitor", f"unix:{self.folder / 'monitor'},server=on,wait=off",
        ]  # fmt: skip
        for number, path, form in drives:
            words += [
                "-drive",
                f"if=none,id=d{number},file={path},format={form},cache=writeback{',readonly=on' if form == 'raw' else ''}",
            ]
            words += ["-device", f"virtio-blk-pci,drive=d{number}"]
        words += ["-loadvm", self.snapshot] if self.snapshot else []
        with (self.folder / "qemu").open("wb") as said:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
            )
        self.agent = self._connect("agent")
        self.monitor_socket = self._connect("monitor")
        if self.snapshot:
            self.boot_id = self.say("cat /proc/sys/kernel/random/boot_id").strip()
        else:
            self.boot_id = self.answer(BOOT_TIMEOUT_S, "hello")["hello"]
            self._settled()

    def _connect(self, name: str) -> socket.socket:
        limit = time.monotonic() + 30
        while True:
            found = socket.socket(socket.AF_UNIX)
            try:
                found.connect(os.fspath(self.folder / name))
                return found
            except OSError as error:
                found.close()
                if time.monotonic() > limit or self.process.poll() is not None:
                    raise Dead(f"no {name} of QEMU: {error}; {self.last_words()}") from error
                time.sleep(0.1)

    def last_words(self) -> str:
        texts = [
            path.read_text(errors="replace")[-2000:] for path in (self.folder / "qemu", self.console) if path.exists()
        ]
        return "\n".join(texts)

    def answer(self, timeout_s: float, key: str) -> dict:
        """The next line of the agent that has this key."""
        limit = time.monotonic() + timeout_s
        while True:
            while b"\n" in self._pending:
                line, _, self._pending = self._pending.partition(b"\n")
                try:
                    found = json.loads(line)
                except ValueError:
                    continue  # what the firmware or a driver wrote to the port
                if isinstance(found, dict) and key in found:
                    return found
            left_s = limit - time.monotonic()
            if left_s <= 0 or self.process.poll() is not None:
                raise Dead(f"no answer with {key!r} within {timeout_s:g} s: {self.last_words()}")
            if select.select([self.agent], [], [], min(left_s, 1.0))[0]:
                data = self.agent.recv(65536)
                if not data and self.process.poll() is not None:
                    raise Dead(f"the guest is gone: {self.last_words()}")
                self._pending += data

    def begin(self, command: str, timeout_s: float = 120.0) -> int:
        """Have a line of bash started; its answer is taken by `end`."""
        self._number += 1
        asked = {"id": self._number, "run": command, "timeout_s": timeout_s}
        self.agent.sendall(json.dumps(asked).encode() + b"\n")
        return self._number

    def end(self, timeout_s: float = 150.0) -> tuple[int, str]:
        found = self.answer(timeout_s, "code")
        return found["code"], zlib.decompress(base64.b64decode(found["said"])).decode(errors="replace")

    def run(self, command: str, timeout_s: float = 120.0) -> tuple[int, str]:
        self.begin(command, timeout_s)
        return self.end(timeout_s + 30)

    def say(self, command: str, timeout_s: float = 120.0) -> str:
        """What a line of bash says; it must end well."""
        code, said = self.run(command, timeout_s)
        assert code == 0, f"{command}: exit {code}: {said}"
        return said

    def reboot(self) -> None:
        """Through systemd; returns when the agent of the next boot is there."""
        before = self.boot_id
        self.begin("systemctl reboot")
        while (found := self.answer(BOOT_TIMEOUT_S, "hello")["hello"]) == before:
            pass
        self.boot_id = found
        self._settled()

    def _settled(self) -> None:
        """Everything that starts with the machine has started, or failed; our agent is there long before."""
        self.run("systemctl is-system-running --wait", BOOT_TIMEOUT_S)

    def cut(self) -> None:
        """No warning, no flush: the process that is the machine is gone."""
        self.process.kill()
        self.process.wait()
        for one in (self.agent, self.monitor_socket):
            one.close()

    def keep(self, name: str) -> None:
        """A snapshot of disk and memory in the image, to go on from with `snapshot=`."""
        self._monitor(f"savevm {name}")

    def _monitor(self, command: str, timeout_s: float = 120.0) -> None:
        self.monitor_socket.settimeout(timeout_s)
        if not self._greeted:
            self._prompt()
            self._greeted = True
        self.monitor_socket.sendall(command.encode() + b"\n")
        said = self._prompt()
        assert "rror" not in said, said

    def _prompt(self) -> str:
        said = b""
        while not said.endswith(b"(qemu) "):
            more = self.monitor_socket.recv(65536)
            if not more:
                raise Dead(f"QEMU's monitor is gone: {self.last_words()}")
            said += more
        return said.decode(errors="replace")
