"""Runs inside the guest: takes commands from the second serial port, one JSON line each, and answers alike.

What a command said is compressed: by emulation each byte of the port costs thousands of instructions.
"""

import base64
import json
import os
import subprocess
import sys
import tty
import zlib


def main(port: str) -> None:
    handle = os.open(port, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(handle)
    with open("/proc/sys/kernel/random/boot_id") as file:  # noqa: PTH123 - the guest has no need of more
        answer(handle, {"hello": file.read().strip()})
    pending = b""
    while True:
        pending += os.read(handle, 65536)
        while b"\n" in pending:
            line, _, pending = pending.partition(b"\n")
            if line.strip():
                answer(handle, done(json.loads(line)))


def done(asked: dict) -> dict:
    try:
        ended = subprocess.run(
            ["/bin/bash", "-c", asked["run"]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=asked["timeout_s"], check=False,
        )  # fmt: skip
        code, said = ended.returncode, ended.stdout
    except subprocess.TimeoutExpired as error:
        code, said = 124, (error.stdout or b"") + b"\n(no end in time)"
    return {"id": asked["id"], "code": code, "said": base64.b64encode(zlib.compress(said)).decode()}


def answer(handle: int, what: dict) -> None:
    data = json.dumps(what).encode() + b"\n"
    while data:
        data = data[os.write(handle, data) :]


if __name__ == "__main__":
    main(sys.argv[1])
