"""A host that went down and came up again: no process is there, pids start anew, the boot is another one.

Each life of the host is a PID namespace of its own: when its first process ends, the kernel kills all others at once, as a
power cut does. The boot id is replaced by a bind mount that only the namespace sees.
"""

import json
import os
import subprocess
import sys
import textwrap
import uuid
from pathlib import Path

import pytest

from tests.faults.stack import ROOT, Stack

pytestmark = pytest.mark.lab

# What runs as the first process of a host: its words are (boot id file, program).
INIT = textwrap.dedent(
    """
    import ctypes, os, runpy, sys
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(sys.argv[1].encode(), b"/proc/sys/kernel/random/boot_id", None, 4096, None):
        raise OSError(ctypes.get_errno(), "cannot bind another boot id")
    exec(sys.stdin.read())
    """
)
BEFORE = """
import json, pathlib, subprocess, urllib.request
subprocess.run([sys.executable, "-m", "hftctl", "deploy", profile, "--yes"], check=True)
orders = []
for number in range(20):
    body = {"client_order_id": f"r-{number}", "account": "demo", "symbol": "AAPL", "side": "buy", "type": "limit",
            "price": "10.00", "quantity": "1", "time_in_force": "GTC"}
    request = urllib.request.Request(door + "/orders", json.dumps(body).encode(), {"content-type": "application/json"})
    orders.append(json.load(urllib.request.urlopen(request))["order_id"])
pathlib.Path(notes).write_text(json.dumps(orders))
"""
AFTER = """
import json, os, pathlib, signal, subprocess, urllib.request
root = pathlib.Path(folder)
assert {entry.name for entry in pathlib.Path("/proc").iterdir() if entry.name.isdecimal()} == {"1"}
stale = {}
for file in (root / "run").glob("*.json"):
    found = json.loads(file.read_bytes())
    if isinstance(found, dict) and "identity" in found:
        stale[file.stem] = found["identity"]["pid"]
assert {"supervisor", "engine-0", "nginx", "postgres-0"} <= set(stale), stale
strangers = {}
for name, pid in sorted(stale.items(), key=lambda item: item[1]):
    pathlib.Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
    strangers[name] = subprocess.Popen(["sleep", "600"], cwd=root / "run", start_new_session=True)
    assert strangers[name].pid == pid, "it has the pid that the component had"
done = subprocess.run([sys.executable, "-m", "hftctl", *verb, "--yes", "-o", "json"], capture_output=True, text=True)
assert done.returncode == 0, done.stdout + done.stderr
assert json.loads(done.stdout)["result"] == "ready"
assert [name for name, process in strangers.items() if process.poll() is not None] == [], "none of them was signalled"
for order_id in json.loads(pathlib.Path(notes).read_text()):
    order = json.load(urllib.request.urlopen(f"{door}/orders/{order_id}"))
    assert order["status"] == "open", order
status = subprocess.run([sys.executable, "-m", "hftctl", "status", "-o", "json"], capture_output=True, text=True)
assert status.returncode == 0, status.stdout
pids = {one["component"]: one["pid"] for one in json.loads(status.stdout)["components"]}
assert not set(pids.values()) & set(stale.values()), (pids, stale)
for stranger in strangers.values():
    stranger.kill()
"""


def life(stack, program, **names):
    """One life of a host: everything ends with the program."""
    boot = stack.home / f"boot-{uuid.uuid4()}"
    boot.write_text(f"{uuid.uuid4()}\n")
    values = {"profile": str(stack.profile), "folder": str(stack.folder), "door": f"http://127.0.0.1:{stack.http}"}
    values |= {"notes": str(stack.home / "orders.json"), **names}
    lines = "".join(f"{name} = {value!r}\n" for name, value in values.items())
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable, "-c", INIT, str(boot)],
        input=lines + program, cwd=ROOT, env=stack.environment, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


@pytest.fixture
def stack():
    if os.geteuid() != 0:
        pytest.skip("a namespace of processes with another boot id needs root")
    made = Stack.make("reboot", "enable_hft_mode: false\n")
    yield made
    subprocess.run(["rm", "-rf", "--", str(made.home)], check=True)


@pytest.mark.timeout(300)
def test_after_a_reboot_one_command_brings_everything_back_and_signals_nobody_else(stack):
    life(stack, BEFORE)
    assert json.loads(Path(stack.folder / "run/engine-0.json").read_bytes())["identity"]["boot"]
    life(stack, AFTER, verb=["start", "-p", stack.name])
    life(stack, AFTER, verb=["deploy", str(stack.profile)])
