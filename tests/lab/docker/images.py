"""Images without a registry: a Debian with Python as the base, and stand-ins for the servers. Made once per content."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hftctl.targets.local.binaries import NGINX, find
from tests.lab.docker.engine import Engine
from tests.lab.docker.packages import SUITE, mirror

CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
PIP_CONFIG = Path("/etc/pip.conf")
SERVERS = Path(__file__).with_name("servers.Dockerfile")
CANARY = (
    "hftctl-lab-canary-b7a1c94e20d3"  # in everything that a build is trusted with; the same always, as layers are kept
)


@dataclass(frozen=True)
class Images:
    base: str
    servers: str

    @property
    def profile(self) -> str:
        """The section of a profile."""
        servers = "".join(f"  {name}: {self.servers}\n" for name in ("postgres", "redis", "nginx"))
        return f"images:\n  base: {self.base}\n{servers}"


def trusted(folder: Path) -> dict[str, Path]:
    """What a build needs here to reach the package index, with a canary in each: keyword arguments of `build_image`."""
    files = {}
    for name, path in (("ca_bundle", CA_BUNDLE), ("pip_config", PIP_CONFIG)):
        if path.exists() or name == "pip_config":
            files[name] = folder / path.name
            text = path.read_text() if path.exists() else "[global]\n"
            files[name].write_text(f"{text.rstrip()}\n# {CANARY}\n")
    return files


def make(engine: Engine) -> Images:
    base = f"hftctl-lab/base:{SUITE}"
    if engine.docker("image", "inspect", base, check=False).returncode:
        with subprocess.Popen(
            ["mmdebstrap", "--quiet", "--variant=minbase", "--include=python3,ca-certificates", SUITE, "-", mirror()],
            stdout=subprocess.PIPE,
        ) as debian:
            subprocess.run(["docker", "import", "-", base], stdin=debian.stdout, env=engine.env, check=True,
                           stdout=subprocess.DEVNULL)  # fmt: skip
        if debian.returncode:
            raise RuntimeError(f"mmdebstrap ended with {debian.returncode}")
    nginx = find(NGINX)
    key = hashlib.sha256(SERVERS.read_bytes() + nginx.read_bytes()).hexdigest()[:12]
    servers = f"hftctl-lab/servers:{key}"
    if engine.docker("image", "inspect", servers, check=False).returncode:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(nginx, Path(folder, "nginx"))
            engine.docker(
                "buildx",
                "build",
                "--load",
                "-q",
                "-t",
                servers,
                "--build-arg",
                f"BASE_IMAGE={base}",
                "-f",
                SERVERS,
                folder,
            )
    return Images(base, servers)
