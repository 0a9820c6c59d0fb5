"""`hftctl bench scaling` on the lab's Docker engine.

python -m tests.lab.docker.scaling WORDS...      the words of hftctl bench scaling
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from hftctl.operations.build import build_image
from hftctl.profile.load import load
from tests.lab.docker.engine import engine
from tests.lab.docker.images import CA_BUNDLE, PIP_CONFIG, make
from tests.lab.docker.scene import ROOT


def main() -> int:
    with engine() as started, tempfile.TemporaryDirectory(prefix="hftctl-scaling-") as folder:
        os.environ |= {**started.env, "HFTCTL_HOME": folder}
        images = make(started)
        build_image(
            {**load("compose").values["images"], "base": images.base}, ca_bundle=CA_BUNDLE, pip_config=PIP_CONFIG
        )
        profile = Path(folder, "lab.yaml")
        profile.write_text(f"extends: compose\nname: lab\n{images.profile}")
        words = [sys.executable, "-P", "-m", "hftctl", "bench", "scaling", "--profile", str(profile), *sys.argv[1:]]
        return subprocess.run(words, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
