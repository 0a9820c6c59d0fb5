"""What plain kubectl takes: the settings that the overlays in stack/manifests/overlays keep below config/, and whole releases. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hftctl.release import Release
from hftctl.targets.compose.images import SERVERS, STACK
from hftctl.targets.kubernetes import components, manifests

OVERLAYS = ("orbstack", "staging", "production")  # each has a profile of its name


def manifests_of(release: Release) -> dict[str, str]:
    """A folder for `kubectl apply -k`: one file per subject, in order. The secrets that it needs are not inside."""
    found = {
        f"{subject}.yaml": manifests.text(components.rendered(subject, spec, release.deployment))
        for subject, spec in components.desired(release).items()
    }
    listed = "".join(f"  - {name}\n" for name in found)
    head = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
    return {"kustomization.yaml": f"{head}resources:\n{listed}", **found}


def files(profile: Mapping[str, Any]) -> dict[str, str]:
    """By name; of the first partition, the only one that an overlay has."""
    images = dict.fromkeys((STACK, *SERVERS), "")
    release = Release(profile["name"], "kubernetes", profile["environment"], profile, images)
    found: dict[str, str] = {}
    for subject, fields in components.typed(release):
        found |= components.files(subject, fields)
    return found
