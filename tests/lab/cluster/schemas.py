"""What each release of Kubernetes takes, as JSON Schemas for kubeconform: made from the OpenAPI document in the release's own module.

python -m tests.lab.cluster.schemas MANIFEST...      kubeconform, strict, against every release there is
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from tests.lab.cluster.build import ADDONS, GO, GO_HOME, built
from tests.lab.docker.packages import CACHE, unpacked

RELEASES = ("1.29.6", "1.30.14", "1.31.14", "1.32.13", "1.33.13", "1.34.4", "1.35.4")
DOCUMENT = "api/openapi-spec/swagger.json"
KINDS = "x-kubernetes-group-version-kind"
REFERENCE = "#/definitions/"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"


def main() -> int:
    worst = 0
    for release in RELEASES:
        done = conform(release, *map(Path, sys.argv[1:]))
        print(f"{release}: {done.stdout.strip()}{done.stderr.strip()}")
        worst = max(worst, done.returncode)
    return worst


def conform(release: str, *manifests: Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """kubeconform over files, folders, or what is given to its standard input."""
    words = [built(ADDONS) / "kubeconform", "-strict", "-summary", "-kubernetes-version", release, "-schema-location",
             f"{schemas(release).parent}/{{{{.NormalizedKubernetesVersion}}}}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"]  # fmt: skip
    return subprocess.run([*words, *manifests], input=given, capture_output=True, text=True, check=False)


def schemas(release: str) -> Path:
    """The folder with one file for each kind."""
    folder = CACHE / "schemas" / f"v{release}"
    if folder.exists():
        return folder
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    definitions = _document(release)["definitions"]
    strict = {name: _strict(definition) for name, definition in definitions.items()}
    strict[QUANTITY] = {"type": ["string", "number", "null"]}
    for name, definition in definitions.items():
        for kind in definition.get(KINDS, []):
            needed = _needed(name, strict)
            whole = {"allOf": [{"$ref": REFERENCE + name}], "definitions": {one: strict[one] for one in sorted(needed)}}
            group = kind["group"].split(".", maxsplit=1)[0]
            parts = [kind["kind"], group, kind["version"]] if group else [kind["kind"], kind["version"]]
            (part / f"{'-'.join(parts).lower()}.json").write_text(json.dumps(whole))
    part.rename(folder)
    return folder


def _document(release: str) -> dict[str, Any]:
    """Out of the module's archive, which comes also where a newer Go would be needed to compile it."""
    go = unpacked(GO) / GO_HOME
    module = f"k8s.io/kubernetes@v{release}"
    done = subprocess.run(
        [go / "bin/go", "mod", "download", "-json", module], capture_output=True, text=True, check=False, cwd="/",
        env={**os.environ, "GOROOT": str(go), "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": ""},
    )  # fmt: skip
    told = json.loads(done.stdout or "{}")
    if "Zip" not in told:
        raise RuntimeError(f"{module} did not come: {told.get('Error') or done.stderr.strip()}")
    with zipfile.ZipFile(told["Zip"]) as archive:
        document: dict[str, Any] = json.loads(archive.read(f"{module}/{DOCUMENT}"))
    return document


def _strict(schema: Any) -> Any:
    """Nothing is taken that is not named; what the server takes in two forms, or as nothing, is taken so here."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "int-or-string":
        return {"type": ["integer", "string", "null"]}
    told = {key: value for key, value in schema.items() if key not in {"description", "format", "properties"}}
    made = {key: _strict(value) for key, value in told.items() if not key.startswith("x-")}
    if "properties" in schema:
        made["properties"] = {name: _strict(one) for name, one in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
    if isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return made


def _needed(name: str, definitions: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    ahead = [name]
    while ahead:
        if (one := ahead.pop()) not in found:
            found.add(one)
            ahead += _references(definitions[one])
    return found


def _references(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [name for one in schema for name in _references(one)]
    if not isinstance(schema, dict):
        return []
    here = [schema["$ref"].removeprefix(REFERENCE)] if isinstance(schema.get("$ref"), str) else []
    return here + [name for one in schema.values() for name in _references(one)]


if __name__ == "__main__":
    sys.exit(main())
