"""Requests to an API server: plain JSON in and out, and every refusal a sentence. The official client carries them: its kubeconfig,
its credentials, its connections.

What can be asked twice without harm is asked again while the server is busy or away for a moment.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

from hftctl.errors import Failed, HftctlError, NotFound
from hftctl.targets.kubernetes import names

TIMEOUT_S = 20.0
FIRST_S = 5.0  # for the first answer: a halt does not wait longer for a server that hangs
AGAIN_S = 15.0  # of a server that has answered once
BUSY = (429, 500, 502, 503, 504)
PAGE = 500
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"  # JSON is YAML

Object = dict[str, Any]


class Conflict(Failed):
    """Somebody else owns a field that we want, or has written meanwhile."""


class Exists(Failed):
    pass


class Api:
    def __init__(self, client: Any) -> None:
        self.client = client
        self.server: str = client.configuration.host
        self.skew_s = 0.0  # by how much the server's clock is ahead of ours
        self.patience_s = 0.0  # how long what failed for a moment is tried again

    # objects

    def get(self, kind: str, name: str, namespace: str = "") -> Object | None:
        return self._send("GET", _path(kind, namespace, name), f"read {kind} {name}", missing=True)

    def list(self, kind: str, namespace: str = "", selector: str = "") -> list[Object]:
        found: list[Object] = []
        query = [("limit", str(PAGE)), ("labelSelector", selector)]
        more = ""
        while True:
            asked = [*query, ("continue", more)]
            page = self._send("GET", _path(kind, namespace), f"list {names.PATHS[kind].plural}", query=asked) or {}
            named = {"apiVersion": names.PATHS[kind].group.partition("/")[2], "kind": kind}  # which a list leaves out
            found += [{**one, **named} for one in page.get("items", [])]
            more = page.get("metadata", {}).get("continue", "")
            if not more:
                return found

    def apply(self, manifest: Mapping[str, Any], *, dry: bool = False) -> Object:
        """Server-side, never by force: a field that somebody else has set stays his, and is told. Raises Conflict."""
        meta = manifest["metadata"]
        query = [("fieldManager", names.MANAGER), ("force", "false"), ("fieldValidation", "Strict")]
        return self._send(
            "PATCH",
            _path(manifest["kind"], meta.get("namespace", ""), meta["name"]),
            f"apply {names.title(manifest)}",
            query=[*query, *([("dryRun", "All")] if dry else [])],
            body=manifest,
            content=APPLY,
        ) or {}  # fmt: skip

    def create(self, manifest: Mapping[str, Any]) -> Object:
        """Raises Exists. Not asked twice: the second answer would say that somebody else was faster."""
        path = _path(manifest["kind"], manifest["metadata"].get("namespace", ""))
        query = [("fieldManager", names.MANAGER)]
        return self._send("POST", path, f"make {names.title(manifest)}", query=query, body=manifest, again=False) or {}

    def replace(self, manifest: Mapping[str, Any]) -> Object:
        """With the version that was read: raises Conflict when somebody else has written since."""
        meta = manifest["metadata"]
        path = _path(manifest["kind"], meta.get("namespace", ""), meta["name"])
        query = [("fieldManager", names.MANAGER)]
        what = f"write {names.title(manifest)}"
        return self._send("PUT", path, what, query=query, body=manifest, again=False) or {}

    def patch(self, found: Mapping[str, Any], change: Mapping[str, Any], *, manager: str) -> None:
        """A few fields, as another manager than ours."""
        meta = found["metadata"]
        path, what = _path(found["kind"], meta.get("namespace", ""), meta["name"]), f"change {names.title(found)}"
        self._send("PATCH", path, what, query=[("fieldManager", manager)], body=change, content=MERGE)

    def delete(self, found: Mapping[str, Any], *, version: bool = False) -> None:
        """Exactly this one: another object that has its name by now stays. Of a workload its pods go first, before it is gone.

        `version`: only while nobody has written to it either.
        """
        meta = found["metadata"]
        conditions = {"uid": meta["uid"]} | ({"resourceVersion": meta["resourceVersion"]} if version else {})
        # In the foreground a name is taken until a controller has looked at it, which only what owns something is worth.
        policy = "Foreground" if found["kind"] in names.WORKLOADS else "Background"
        body: Object = {"propagationPolicy": policy, "preconditions": conditions}
        path = _path(found["kind"], meta.get("namespace", ""), meta["name"])
        self._send("DELETE", path, f"delete {names.title(found)}", body=body, missing=True)

    def version(self) -> Object:
        return self._send("GET", "/version", "ask the API server for its version") or {}

    # what is no object

    def logs(
        self, pod: str, namespace: str, *, since: str = "", tail: int = 0, previous: bool = False, follow: bool = False
    ) -> Iterator[bytes]:
        """Lines as they come, each with its time in front. Raises NotFound while there are none."""
        query = [("timestamps", "true"), ("sinceTime", since), ("tailLines", str(tail or "")),
                 ("previous", "true" if previous else ""), ("follow", "true" if follow else "")]  # fmt: skip
        path = f"{_path('Pod', namespace, pod)}/log"
        answer = self._ask("GET", path, query, None, "", stream=True, timeout_s=None if follow else TIMEOUT_S)
        try:
            if answer.status >= 400:
                raise NotFound(f"no log of {pod}: {_said(answer.data)[0]}")
            rest = b""
            for piece in answer.stream(1 << 16):
                *lines, rest = (rest + piece).split(b"\n")
                yield from lines
            if rest:
                yield rest
        finally:
            answer.close()

    def websocket(self, path: str, query: Sequence[tuple[str, str]]) -> tuple[str, dict[str, str]]:
        """Address and headers of a connection that is no request."""
        _, url, headers, _, _ = self.client.param_serialize(
            "GET", path, query_params=list(query), header_params={}, auth_settings=["BearerToken"]
        )
        return url, headers

    # requests

    def _send(
        self,
        method: str,
        path: str,
        what: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Any = None,
        content: str = "application/json",
        missing: bool = False,
        again: bool = True,
    ) -> Object | None:
        deadline = time.monotonic() + (self.patience_s if again else 0.0)
        pause_s = 0.1
        while True:
            status, data = self._try(method, path, query, body, content)
            if status not in (0, *BUSY) or time.monotonic() + pause_s > deadline:
                break
            time.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, 2.0)
        if status == 404 and missing:
            return None
        if 200 <= status < 300:
            answer: Object = json.loads(data) if data else {}
            return answer
        raise self._refusal(status, data, what)

    def _try(
        self, method: str, path: str, query: Sequence[tuple[str, str]], body: Any, content: str
    ) -> tuple[int, bytes]:
        """Status 0: nobody answered."""
        try:
            answer = self._ask(method, path, query, body, content)
        except OSError as error:
            return 0, str(error).encode()
        if (date := answer.headers.get("Date")) is not None:
            self.skew_s = parsedate_to_datetime(date).timestamp() - time.time()
        return answer.status, answer.data

    def _ask(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        body: Any,
        content: str,
        *,
        stream: bool = False,
        timeout_s: float | None = TIMEOUT_S,
    ) -> Any:
        import urllib3

        if not self.patience_s and timeout_s is not None:
            timeout_s = min(timeout_s, FIRST_S)
        headers = {"Accept": "application/json"} | ({"Content-Type": content} if body is not None else {})
        try:
            _, url, headers, _, _ = self.client.param_serialize(
                method,
                path,
                query_params=[pair for pair in query if pair[1]],
                header_params=headers,
                auth_settings=["BearerToken"],
            )
            return self.client.rest_client.pool_manager.request(
                method,
                url,
                body=json.dumps(body) if body is not None else None,
                headers=headers,
                timeout=urllib3.Timeout(connect=5.0, read=timeout_s),
                preload_content=not stream,
                retries=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise OSError(_reason(error)) from error

    def _refusal(self, status: int, data: bytes, what: str) -> HftctlError:
        if status == 0:
            return NotFound(
                f"cannot {what}: the API server at {self.server} does not answer: {data.decode(errors='replace')}",
                hint="see whether the cluster runs: kubectl cluster-info",
            )
        said, reason, causes = _said(data)
        if status == 401:
            return NotFound(f"cannot {what}: the API server at {self.server} does not take our credentials: {said}",
                            hint="log in to the cluster again, then repeat the command")  # fmt: skip
        if status == 403 and "exceeded quota" not in said and "violates PodSecurity" not in said:
            return NotFound(
                f"cannot {what}: no right to: {said}", hint="ask for a role that has it: docs/kubernetes.md"
            )
        if status == 409 and reason == "AlreadyExists":
            return Exists(f"cannot {what}: it is there already")
        if status == 409 and causes:
            owners = "; ".join(f"{one.get('field', '?')}: {one.get('message', '')}" for one in causes)
            return Conflict(
                f"cannot {what}: somebody else has set what we set ({owners})",
                hint="let go of it there, or write the same value into the profile; hftctl takes nothing by force",
            )
        if status == 409:
            return Conflict(f"cannot {what}: {said}")
        if status in BUSY:
            return NotFound(f"cannot {what}: the API server at {self.server} is not well, HTTP {status}: {said}",
                            hint="repeat the command in a while; what was begun goes on")  # fmt: skip
        return Failed(f"cannot {what}: {said}")


def _path(kind: str, namespace: str, name: str = "") -> str:
    group, plural, namespaced = names.PATHS[kind]
    inside = f"/namespaces/{namespace}" if namespaced and namespace else ""
    return f"/{group}{inside}/{plural}" + (f"/{name}" if name else "")


def pod_path(namespace: str, pod: str, what: str) -> str:
    return f"{_path('Pod', namespace, pod)}/{what}"


def _said(data: bytes) -> tuple[str, str, list[Mapping[str, Any]]]:
    try:
        read = json.loads(data)
        return (
            str(read.get("message", "")),
            str(read.get("reason", "")),
            (read.get("details") or {}).get("causes") or [],
        )
    except (ValueError, AttributeError):
        return data.decode(errors="replace").strip()[:200], "", []


def _reason(error: BaseException) -> str:
    """The innermost cause: what wraps it only repeats addresses."""
    while inner := next((one for one in (error.__cause__, *error.args) if isinstance(one, BaseException)), None):
        error = inner
    return str(getattr(error, "strerror", None) or error)
