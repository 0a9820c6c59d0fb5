"""kubeconform with schemas from the release's own document: strict, and as lenient as the server where that is lenient."""

from __future__ import annotations

import pytest

from tests.lab.cluster.build import RELEASE
from tests.lab.cluster.schemas import RELEASES, conform

GOOD = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  selector: {matchLabels: {app: web}}
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 25%}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: web:1
          resources: {limits: {cpu: 1, memory: 64Mi}}
          readinessProbe: {httpGet: {port: http}}
"""


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ("", "", ""),
        ("image: web:1", "imag: web:1", "'imag' not allowed"),
        ("name: web\n", "nothing: web\n", "missing propert"),
        ("maxUnavailable: 0", "maxUnavailable: [0]", "want null or integer or string"),
        ("apps/v1", "apps/v1beta1", "could not find schema for Deployment"),
    ],
)
def test_what_a_release_takes_and_what_it_does_not(was: str, becomes: str, said: str) -> None:
    done = conform(RELEASE.removeprefix("v"), given=GOOD.replace(was, becomes))
    assert (done.returncode == 0) == (said == ""), done.stdout + done.stderr
    assert said in done.stdout


@pytest.mark.long
@pytest.mark.parametrize("release", RELEASES)
def test_every_release_has_its_schemas(release: str) -> None:
    done = conform(release, given=GOOD)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Valid: 1" in done.stdout
