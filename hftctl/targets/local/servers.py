"""Specs of PostgreSQL and Valkey: loopback only, passwords from files, sized for one small machine. Pure."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hftctl.paths import Layout, package_folder
from hftctl.plan.change import Spec
from hftctl.targets.local.services import DATABASE_USER, POSTGRES_PASSWORD

VALKEY_SECRET = "redis.conf"  # noqa: S105 - the name of a file below secrets/: the line with the password


def postgres(profile: Mapping[str, Any], layout: Layout, program: Path) -> Spec:
    return {
        "settings": {
            "program": str(program),
            "data": "../data/postgres-0",
            "user": DATABASE_USER,
            "password_file": f"../secrets/{POSTGRES_PASSWORD}",
            "runtime": str(layout.root.parent / "cache" / "runtime"),
            "settings": {
                "listen_addresses": "127.0.0.1",
                "port": profile["ports"]["postgres"],
                **postgres_settings(),
            },
        },
        "replaced": "stop-first",
        "process": {
            "argv": [
                sys.executable,
                "-P",
                "-m",
                "hftctl.targets.local.postgres",
                "--config",
                "../config/postgres-0.json",
            ],
            "env": {"PYTHONPATH": str(package_folder("hftctl").parent)},
            # SIGINT ends sessions and stops, SIGQUIT leaves the rest to recovery; SIGTERM would wait for clients.
            "stop": [["SIGINT", 30.0], ["SIGQUIT", 10.0]],
            "program": program.name,
            "folder": "../data/postgres-0",
        },
    }


def postgres_settings() -> dict[str, Any]:
    """What is the same wherever it runs."""
    return {
        "unix_socket_directories": "",
        "password_encryption": "scram-sha-256",
        "max_connections": 64,
        "shared_buffers": "128MB",
        "work_mem": "8MB",
        "maintenance_work_mem": "64MB",
        "wal_buffers": "16MB",
        "max_wal_size": "2GB",  # COPY writes in bursts: fewer checkpoints, each spread out
        "min_wal_size": "128MB",
        # Rows that are only appended have few images of pages: pglz saves 3 % of 185 bytes a row, and no time.
        "wal_compression": "off",
        "checkpoint_timeout": "15min",
        "checkpoint_completion_target": 0.9,
        "wal_level": "replica",
        "jit": "off",
        "huge_pages": "off",
        "random_page_cost": 1.1,
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] ",
        "log_checkpoints": "off",
        "lc_messages": "C",
    }


def valkey(profile: Mapping[str, Any], layout: Layout, program: Path) -> Spec:
    lines = [
        f'include "{layout.secrets / VALKEY_SECRET}"',
        "bind 127.0.0.1",
        f"port {profile['ports']['redis']}",
        "protected-mode yes",
        "daemonize no",
        f'dir "{layout.valkey}"',
        f'logfile "{layout.logs / "redis.log"}"',
        'save ""',  # a cache: the truth is in the journal
        "appendonly no",
        f"maxmemory {profile['redis']['max_memory_bytes']}",
        "maxmemory-policy allkeys-lru",
        "tcp-backlog 511",
        "databases 1",
    ]
    return {
        "files": {"redis.conf": lines},
        "replaced": "stop-first",
        "process": {
            "argv": [str(program), str(layout.config / "redis.conf")],
            "stop": [["SIGTERM", 10.0]],
            "program": program.name,
            "folder": "../data/valkey",
            "logs": ["redis.log"],
        },
    }
