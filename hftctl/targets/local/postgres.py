"""Becomes PostgreSQL: `python -m hftctl.targets.local.postgres --config FILE`, started by the supervisor.

Makes the cluster on the first start, writes the settings, then execs the server, all as a user PostgreSQL accepts (`userns`).
A cluster is made beside its place and moved there whole, so that a kill at any point leaves none or a good one.

The configuration is JSON: {"program", "data", "user", "password_file", "runtime", "settings": {name: value}}.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hftctl.paths import write_atomic
from hftctl.targets.local import userns
from hftctl.targets.local.identity import facts, working_directory
from hftctl.targets.local.identity import program as program_of
from hftctl.targets.local.userns import Way


def main() -> int:
    parser = argparse.ArgumentParser(prog="hftctl-postgres")
    parser.add_argument("--config", type=Path, required=True)
    config: dict[str, Any] = json.loads(parser.parse_args().config.read_bytes())
    os.umask(0o077)
    try:
        start(config)
    except OSError as error:
        print(f"cannot start PostgreSQL: {error}", file=sys.stderr)
    except subprocess.CalledProcessError as error:
        print(f"cannot make the database cluster: {error.cmd[0]} ended with status {error.returncode}", file=sys.stderr)
    return 1


def start(config: dict[str, Any]) -> None:
    """Does not return."""
    data = Path(config["data"]).resolve()
    program = Path(config["program"])
    password = Path(config["password_file"]).read_text()
    way = userns.enter()
    if way is Way.NOBODY:
        if not userns.readable(program):
            program = userns.copy_runtime(program, Path(config["runtime"]))
        _open_the_way(data)
    if not (data / "PG_VERSION").exists():
        _make(config, data, program, password, way)
    _remove_stale_lock(data)
    write_atomic(data / "postgresql.conf", conf(config["settings"]), mode=0o600)
    if way is Way.NOBODY:
        userns.give(data)
        userns.drop()
    os.chdir(data)
    os.execv(program, [str(program), "-D", str(data)])  # noqa: S606 - this process becomes the server


def conf(settings: dict[str, Any]) -> str:
    lines = ["# Written at each start; your own settings go through ALTER SYSTEM."]
    for name, value in settings.items():
        text = str(value).replace("'", "''")
        lines.append(f"{name} = '{text}'")
    return "\n".join(lines) + "\n"


def _make(config: dict[str, Any], data: Path, program: Path, password: str, way: Way) -> None:
    part = data.with_name(f"{data.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    password_file = part.with_name(f"{data.name}.password")
    password_file.write_text(password)
    rights: dict[str, Any] = {}
    if way is Way.NOBODY:
        rights = {"user": userns.NOBODY, "group": userns.NOBODY, "extra_groups": []}
        userns.give(part)
        os.chown(password_file, userns.NOBODY, userns.NOBODY)
    try:
        subprocess.run(
            [program.with_name("initdb"), "-D", part, "-U", config["user"], f"--pwfile={password_file}",
             "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"],
            check=True, stdout=subprocess.DEVNULL, cwd=part, **rights,
        )  # fmt: skip
    finally:
        password_file.unlink()
    part.rename(data)


def _remove_stale_lock(data: Path) -> None:
    """After a crash its pid may be another process's by now, and PostgreSQL would believe that it still runs."""
    lock = data / "postmaster.pid"
    try:
        pid = int(lock.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    if facts(pid) is None or program_of(pid) != "postgres" or working_directory(pid) != data:
        lock.unlink()


def _open_the_way(data: Path) -> None:
    closed = [folder for folder in data.parents if not folder.stat().st_mode & 0o001]
    for folder in closed:
        if folder in {data.parent, data.parent.parent}:
            folder.chmod(folder.stat().st_mode | 0o011)  # ours; others may pass through, not look
        else:
            raise PermissionError(
                f"user namespaces are forbidden here, and the user nobody cannot reach {data} through {folder}; "
                f"set HFTCTL_HOME to a folder below one that everybody may enter, such as /var/lib/hftctl"
            )


if __name__ == "__main__":
    sys.exit(main())
