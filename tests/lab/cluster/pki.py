"""Certificates of a throw-away authority, the key that signs service accounts' tokens, and a kubeconfig for each who has one."""

from __future__ import annotations

import json
from pathlib import Path

from tests.lab.cluster.layout import API, API_SERVICE, DOMAIN, HOST_ADDRESS, KUBECONFIG, STATE, node_address, node_name
from tests.lab.cluster.space import checked

FOLDER = STATE / "pki"
TOKENS_PUBLIC = FOLDER / "service-accounts.pub"
DAYS = "3650"
MASTERS = "system:masters"
CLIENTS = {  # name of a file: user and group
    "admin": ("hftctl-lab-admin", MASTERS),
    "kubelet-client": ("kube-apiserver-kubelet-client", MASTERS),
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "kube-proxy": ("system:kube-proxy", ""),
    "kube-router": ("hftctl-lab-kube-router", MASTERS),
}
API_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    f"kubernetes.default.svc.{DOMAIN}",
)


def certificate(name: str) -> Path:
    return FOLDER / f"{name}.crt"


def key(name: str) -> Path:
    return FOLDER / f"{name}.key"


def kubeconfig(name: str) -> Path:
    return KUBECONFIG if name == "admin" else FOLDER / f"{name}.kubeconfig"


def make() -> None:
    """For the control plane; what is whole stays: each has its name when it is done, and what it was made of is made anew till then."""
    FOLDER.mkdir(parents=True, exist_ok=True, mode=0o700)
    for authority in ("ca", "front-proxy-ca"):
        if not certificate(authority).exists():
            _key(authority)
            part = FOLDER / f"{authority}.part"
            _openssl("req", "-x509", "-new", "-key", key(authority), "-subj", f"/CN=hftctl-lab-{authority}", "-days", DAYS,
                     "-addext", "keyUsage=critical,keyCertSign,digitalSignature", "-out", part)  # fmt: skip
            part.rename(certificate(authority))
    if not TOKENS_PUBLIC.exists():
        part = TOKENS_PUBLIC.with_suffix(".part")
        _openssl("genrsa", "-out", key("service-accounts"), "2048")
        _openssl("rsa", "-in", key("service-accounts"), "-pubout", "-out", part)
        part.rename(TOKENS_PUBLIC)
    addresses = (API_SERVICE, node_address(1), HOST_ADDRESS, "127.0.0.1")
    _signed("apiserver", "kube-apiserver", "", names=[*API_NAMES, node_name(1)], addresses=addresses)
    _signed("front-proxy", "front-proxy-client", "", authority="front-proxy-ca")
    for name, (user, group) in CLIENTS.items():
        _client(name, user, group)


def make_node(number: int) -> None:
    name = node_name(number)
    _client(f"kubelet-{name}", f"system:node:{name}", "system:nodes")
    _signed(f"kubelet-{name}-server", name, "", names=[name], addresses=[node_address(number)])


def _client(name: str, user: str, group: str) -> None:
    _signed(name, user, group)
    text = json.dumps(_kubeconfig(name), indent=1)
    if not kubeconfig(name).exists() or kubeconfig(name).read_text() != text:
        kubeconfig(name).touch(0o600)
        kubeconfig(name).write_text(text)


def _kubeconfig(name: str) -> dict[str, object]:
    """Whole in itself, so that it can be handed to anybody; JSON is YAML."""

    def data(path: Path) -> str:
        return _openssl("base64", "-A", "-in", path)

    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "hftctl-lab", "cluster": {"server": API, "certificate-authority-data": data(certificate("ca"))}}
        ],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": data(certificate(name)),
                    "client-key-data": data(key(name)),
                },
            }
        ],
        "contexts": [{"name": "hftctl-lab", "context": {"cluster": "hftctl-lab", "user": name}}],
        "current-context": "hftctl-lab",
    }


def _key(name: str) -> None:
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key(name))
    key(name).chmod(0o600)


def _signed(
    name: str, user: str, group: str, names: list[str] | None = None,
    addresses: list[str] | tuple[str, ...] = (), authority: str = "ca",
) -> None:  # fmt: skip
    if certificate(name).exists():
        return
    _key(name)
    uses = "extendedKeyUsage=clientAuth,serverAuth\nkeyUsage=critical,digitalSignature\n"
    if names or addresses:
        uses += "subjectAltName=" + ",".join([f"DNS:{one}" for one in names or []] + [f"IP:{one}" for one in addresses])
    extensions, request, part = (FOLDER / f"{name}.{ending}" for ending in ("ext", "csr", "part"))
    extensions.write_text(uses)
    subject = (f"/O={group}" if group else "") + f"/CN={user}"
    _openssl("req", "-new", "-key", key(name), "-subj", subject, "-out", request)
    _openssl("x509", "-req", "-in", request, "-CA", certificate(authority), "-CAkey", key(authority), "-CAcreateserial",
             "-days", DAYS, "-extfile", extensions, "-out", part)  # fmt: skip
    part.rename(certificate(name))
    extensions.unlink()
    request.unlink()


def _openssl(*words: str | Path) -> str:
    return checked("certificates", ["openssl", *words]).stdout
