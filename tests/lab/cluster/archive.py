"""Images without an engine and without a registry: a few static programs as one layer of a tar that `ctr` reads."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.lab.cluster.build import ADDONS, built
from tests.lab.cluster.layout import HERE
from tests.lab.docker.packages import CACHE, unpacked

LAB = "hftctl.lab"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
BUSYBOX = ("busybox-static",)
USERS = "root:x:0:0:root:/:/bin/sh\nuser:x:1000:1000:user:/:/bin/sh\n"
IN_CLUSTER = ("coredns", "kwok", "local-path-provisioner", "metrics-server")  # of what ADDONS builds


def of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def pause() -> tuple[str, Path]:
    source = HERE / "pause.c"
    name = f"{LAB}/pause:{of(source.read_bytes())}"

    def layer(into: tarfile.TarFile, folder: Path) -> None:
        program = folder / "pause"
        subprocess.run(["gcc", "-O2", "-static", "-s", "-o", program, source], check=True)
        into.add(program, "pause", filter=_root)

    return name, _kept(name, {"Entrypoint": ["/pause"]}, layer)


def busybox() -> tuple[str, Path]:
    """A shell with its tools, for pods of tests and for who prepares volumes."""
    program = unpacked(BUSYBOX) / "usr/bin/busybox"
    name = f"{LAB}/busybox:{of(program.read_bytes())}"

    def layer(into: tarfile.TarFile, _: Path) -> None:
        into.add(program, "bin/busybox", filter=_root)
        for applet in subprocess.run([program, "--list"], check=True, capture_output=True, text=True).stdout.split():
            if applet != "busybox":
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                into.addfile(link)
        _furniture(into)

    return name, _kept(name, {"Cmd": ["sh"], "Env": ["PATH=/bin"]}, layer)


def addons() -> tuple[str, Path]:
    """One image for all of our own pods in kube-system; each names its program."""
    programs = built(ADDONS)
    name = f"{LAB}/addons:{ADDONS.key}"

    def layer(into: tarfile.TarFile, _: Path) -> None:
        for program in IN_CLUSTER:
            into.add(programs / program, f"bin/{program}", filter=_root)
        _furniture(into)

    return name, _kept(name, {"Env": ["PATH=/bin"]}, layer)


def _furniture(into: tarfile.TarFile) -> None:
    for folder, mode in (("tmp", 0o1777), ("etc", 0o755)):
        entry = tarfile.TarInfo(folder)
        entry.type, entry.mode = tarfile.DIRTYPE, mode
        into.addfile(entry)
    _file(into, "etc/passwd", USERS.encode())


def _root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = "root"
    entry.mode = 0o755
    return entry


def _file(into: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    into.addfile(entry, io.BytesIO(content))


def _kept(name: str, config: Mapping[str, object], fill: Callable[[tarfile.TarFile, Path], None]) -> Path:
    """The archive of that name, made when it is not in the cache: as `docker save` writes it."""
    path = CACHE / "images" / f"{name.replace('/', '_').replace(':', '_')}.tar"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with tarfile.open(folder / "layer.tar", "w") as layer:
            fill(layer, folder)
        with (folder / "layer.tar").open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        whole = {
            "architecture": ARCHITECTURES[platform.machine()], "os": "linux", "config": dict(config),
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }  # fmt: skip
        manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
        part = path.with_suffix(".part")
        with tarfile.open(part, "w") as image:
            _file(image, "manifest.json", json.dumps(manifest).encode())
            _file(image, "config.json", json.dumps(whole).encode())
            image.add(folder / "layer.tar", "layer.tar", filter=_root)
        part.rename(path)
    return path
