"""What is inside an image, as CycloneDX 1.5: Debian's packages and Python's, read from the image without running it."""

from __future__ import annotations

import email.parser
import io
import json
import re
import tarfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from hftctl.errors import Failed
from hftctl.targets.compose.daemon import Missing, saying

DPKG = "/var/lib/dpkg/status"
PYTHON = "/opt/hftctl/lib"


def of(api: Any, reference: str) -> str:
    """The document. The same image gives the same text: no time and no random number is in it."""
    image = api.inspect_image(reference)
    with saying(f"read the image {reference}"):
        made = api.create_container_from_config(
            {"Image": reference, "Cmd": ["true"], "Labels": {"hftctl.role": "sbom"}}
        )
    try:
        components = [*_debian(_tar(api, made["Id"], DPKG)), *_python(_tar(api, made["Id"], PYTHON))]
    finally:
        with saying("remove a container that was only read"):
            api.remove_container(made["Id"], force=True, v=True)
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {
            "type": "container", "name": reference.rpartition(":")[0], "version": reference.rpartition(":")[2],
            "bom-ref": reference, "hashes": [{"alg": "SHA-256", "content": image["Id"].removeprefix("sha256:")}],
        }},
        "components": sorted(components, key=lambda one: str(one["bom-ref"])),
    }  # fmt: skip
    return json.dumps(document, indent=1) + "\n"


def _tar(api: Any, container: str, path: str) -> tarfile.TarFile | None:
    try:
        with saying(f"read {path} of an image"):
            data = b"".join(api.get_archive(container, path)[0])
    except Failed as error:
        if isinstance(error.__cause__, Missing):
            return None
        raise
    return tarfile.open(fileobj=io.BytesIO(data))


def _debian(archive: tarfile.TarFile | None) -> Iterator[dict[str, Any]]:
    for text in _texts(archive, r"status$"):
        for paragraph in text.split("\n\n"):
            fields = dict(re.findall(r"^(Package|Version|Architecture|Status): (.*)$", paragraph, re.MULTILINE))
            if fields.get("Status", "").endswith(" installed"):
                name, version = fields["Package"], fields["Version"]
                yield _component(name, version, f"pkg:deb/debian/{name}@{quote(version)}?arch={fields['Architecture']}")


def _python(archive: tarfile.TarFile | None) -> Iterator[dict[str, Any]]:
    for text in _texts(archive, r"\.dist-info/METADATA$"):
        fields = email.parser.HeaderParser().parsestr(text)
        name, version = re.sub(r"[-_.]+", "-", fields["Name"]).lower(), fields["Version"]
        yield _component(name, version, f"pkg:pypi/{name}@{version}")


def _texts(archive: tarfile.TarFile | None, pattern: str) -> Iterator[str]:
    for member in archive or ():
        if member.isfile() and re.search(pattern, member.name) and archive is not None:
            content = archive.extractfile(member)
            yield content.read().decode(errors="replace") if content else ""


def _component(name: str, version: str, purl: str) -> dict[str, Any]:
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
