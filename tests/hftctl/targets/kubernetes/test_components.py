"""What a release becomes on a cluster, without one; and that kustomize says the same."""

import json
import shutil
import subprocess

import pytest
import yaml

from hftctl.cli.reference import overlays
from hftctl.operations.deploy import make_release
from hftctl.paths import package_folder
from hftctl.plan.diff import diff
from hftctl.profile.load import load
from hftctl.release import Release
from hftctl.targets.kubernetes import components, manifests, names
from hftctl.targets.kubernetes.driver import KubernetesTarget
from hftctl.targets.kubernetes.plain import OVERLAYS

FOLDER = package_folder("stack") / "manifests"
IMAGES = {
    "stack": "hftctl/stack:latest",
    "postgres": "postgres:18",
    "redis": "valkey/valkey:9",
    "nginx": "nginx:1.31",
}


def release(profile="orbstack", images=IMAGES, **changes):
    values = {**load(profile).values, **changes}
    return Release(values["name"], "kubernetes", values["environment"], values, images, (1, 3))


def objects(wanted):
    return {
        (one["kind"], one["metadata"]["name"]): one
        for subject, spec in components.desired(wanted).items()
        for one in components.rendered(subject, spec, wanted.deployment)
    }


def kustomized(folder):
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=True)
    return done.stdout


def by_name(text):
    found = {}
    for one in yaml.safe_load_all(text):
        if one["kind"] == "PriorityClass":  # every deployment's: ours says so, kustomize labels all that it is given
            del one["metadata"]["labels"][names.DEPLOYMENT]
        found[one["kind"], one["metadata"]["name"]] = one
    return found


needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="install kubectl")


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_ships_is_what_kubectl_renders(overlay):
    shipped = by_name((FOLDER / "rendered" / f"{overlay}.yaml").read_text())
    assert shipped == by_name(kustomized(FOLDER / "overlays" / overlay)), "write it anew: make manifests"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_profile_without_changes_is_its_overlay(overlay):
    shipped = by_name((FOLDER / "rendered" / f"{overlay}.yaml").read_text())
    assert objects(release(overlay)) == shipped


@needs_kubectl
def test_changes_of_a_profile_are_those_that_kustomize_makes(tmp_path):
    """Another name, other images, more gateways, other settings: the typed fields, by a kustomization of our overlay."""
    wanted = release(
        name="paper",
        gateways=5,
        log_level="debug",
        images={**IMAGES, "stack": "registry:5000/hftctl/stack:abc", "nginx": "nginx:1"},
    )
    shutil.copytree(FOLDER, tmp_path / "manifests")
    config = tmp_path / "manifests" / "overlays" / "orbstack" / "config"
    for subject, fields in components.typed(wanted):
        for name, content in components.files(subject, fields).items():
            (config / name).write_text(content)
    overlay = tmp_path / "manifests" / "overlays" / "orbstack" / "kustomization.yaml"
    read = yaml.safe_load(overlay.read_text())
    read["namespace"] = "hftctl-paper"
    read["labels"][0]["pairs"] = {names.DEPLOYMENT: "paper"}
    read["images"][0] = {"name": "hftctl/stack", "newName": "registry:5000/hftctl/stack", "newTag": "abc"}
    read["images"][3] = {"name": "nginx", "newTag": "1"}
    read["replicas"] = [{"name": "gateway", "count": 5}]
    overlay.write_text(yaml.safe_dump(read))
    assert objects(wanted) == by_name(kustomized(overlay.parent))


def test_settings_of_the_overlays_are_those_of_their_profiles():
    for name, content in overlays().items():
        assert (FOLDER / "overlays" / name).read_text() == content, "write it anew: make manifests"


def test_subjects_come_in_order_of_dependency():
    subjects = list(components.desired(release()))
    assert subjects == ["namespace", "postgres-0", "redis", "engine-0", "schema-0", "gateway", "persister-0", "nginx"]
    assert components.order(reversed(subjects)) == subjects


def test_a_spec_is_plain_and_pure():
    desired = components.desired(release())
    assert json.loads(json.dumps(desired)) == desired == components.desired(release())


def test_partitions_have_objects_of_their_own():
    wanted = release(partitions=[{"ranges": ["0-9", "A-M"], "symbols": []}, {"ranges": ["N-Z"], "symbols": []}])
    found = objects(wanted)
    engine, persister = found["StatefulSet", "engine-1"], found["Deployment", "persister-1"]
    assert engine["spec"]["serviceName"] == "engine-1"
    assert engine["spec"]["selector"]["matchLabels"] == {names.COMPONENT: "engine-1"}
    assert found["Service", "engine-1"]["spec"]["selector"] == {names.COMPONENT: "engine-1"}
    assert manifests.pod(engine)["containers"][0]["args"][-1] == "../config/engine-1.json"
    assert manifests.pod(persister)["containers"][0]["args"][-1] == "../config/persister-1.json"
    assert found["NetworkPolicy", "engine-1"]["spec"]["podSelector"]["matchLabels"] == {names.COMPONENT: "engine-1"}
    gateway = json.loads(
        next(one for (kind, name), one in found.items() if name.startswith("gateway-"))["data"]["gateway.json"]
    )
    assert [one["link_socket"] for one in gateway["partitions"]] == ["engine-0:50050", "engine-1:50050"]


def test_settings_change_the_name_of_their_config_map_and_so_the_pods():
    before, after = objects(release()), objects(release(log_level="debug"))
    assert not {name for kind, name in before if kind == "ConfigMap" and name.startswith("engine")} & {
        name for kind, name in after if kind == "ConfigMap"
    }
    for subject in ("engine-0",):
        first, second = before["StatefulSet", subject], after["StatefulSet", subject]
        assert manifests.pod(first)["volumes"] != manifests.pod(second)["volumes"]


def test_a_cause_names_the_key():
    plan = diff(components.desired(release(gateways=3, log_level="debug")), components.desired(release()))
    causes = {change.subject: change.cause for change in plan.pending}
    assert "replicas 2 -> 3" in causes["gateway"], causes
    assert "settings.log_level" in causes["engine-0"]
    assert set(causes) == {"engine-0", "gateway", "persister-0"}


def test_where_there_is_an_autoscaler_the_number_is_its_own():
    few, many = objects(release("staging")), objects(release("production", gateways=7))
    assert "replicas" not in few["Deployment", "gateway"]["spec"]
    counts = [one["HorizontalPodAutoscaler", "gateway"]["spec"] for one in (few, many)]
    assert [(one["minReplicas"], one["maxReplicas"]) for one in counts] == [(3, 10), (7, 20)]


def test_an_engine_of_production_has_whole_processors_and_a_node_of_its_own():
    pod = manifests.pod(objects(release("production"))["StatefulSet", "engine-0"])
    resources = pod["containers"][0]["resources"]
    assert resources["requests"] == resources["limits"] == {"cpu": "2", "memory": "2Gi"}
    [rule] = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert rule["topologyKey"] == "kubernetes.io/hostname"
    assert "exec" not in pod["containers"][0]["livenessProbe"], "it would run on the engine's own processors"


def pods():
    for wanted in (release(), release("staging"), release("production")):
        for (_, name), one in objects(wanted).items():
            if one["kind"] in names.WORKLOADS:
                yield name, one, manifests.pod(one)


def test_every_pod_is_as_restricted_as_its_namespace_demands():
    for name, _, pod in pods():
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["enableServiceLinks"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] > 0, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), name
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
            resources = container["resources"]
            whole = resources["limits"] == resources["requests"]
            assert whole or resources["limits"].keys() == {"memory"}, "a limit of the processor stops who holds locks"
            assert container["imagePullPolicy"] == "IfNotPresent", name
            assert "env" not in container, "settings are files, and so are secrets"


def test_every_pod_has_a_minute_to_end_and_is_looked_at():
    for name, work, pod in pods():
        if work["kind"] == "Job":
            continue
        assert pod["terminationGracePeriodSeconds"] == 60, name
        assert "readinessProbe" in pod["containers"][0], name


def test_a_pod_sees_only_the_secrets_that_it_reads():
    seen = {
        name: {item["key"] for volume in pod["volumes"] if "secret" in volume for item in volume["secret"]["items"]}
        for name, _, pod in pods()
    }
    assert seen["engine-0"] == {"api_keys"}
    assert seen["nginx"] == set()
    assert seen["postgres-0"] == seen["schema-0"] == {"postgres_password"}
    assert seen["gateway"] == {"api_keys", "postgres_password", "redis_password"}


def edges(wanted):
    """Who may connect to whom and where, when both sides' policies agree."""
    policies = [one["spec"] for one in objects(wanted).values() if one["kind"] == "NetworkPolicy"]
    kinds = ("engine", "gateway", "nginx", "persister", "postgres", "redis", "schema")

    def chosen(selector, kind):
        labels = {names.KIND: kind, names.COMPONENT: kind if kind in ("gateway", "nginx", "redis") else f"{kind}-0"}
        equal = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
        return equal and all(labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", []))

    def ports(kind, direction, other):
        found = set()
        for spec in policies:
            if chosen(spec["podSelector"], kind):
                for rule in spec.get(direction, []):
                    peers = rule.get("from" if direction == "ingress" else "to")
                    if peers is None or any("podSelector" in p and chosen(p["podSelector"], other) for p in peers):
                        found |= {port["port"] for port in rule["ports"]}
        return found

    pairs = {(a, b): ports(a, "egress", b) & ports(b, "ingress", a) for a in kinds for b in kinds}
    return {pair: found for pair, found in pairs.items() if found}


def test_policies_are_the_edges_of_the_architecture():
    assert edges(release()) == {
        ("nginx", "gateway"): {8000},
        ("gateway", "engine"): {50050},
        ("gateway", "postgres"): {5432},
        ("gateway", "redis"): {6379},
        ("persister", "engine"): {50050},
        ("persister", "postgres"): {5432},
        ("persister", "redis"): {6379},
        ("schema", "postgres"): {5432},
    }


def test_nobody_of_whom_there_are_two_stands_twice_on_a_node_of_staging():
    found = objects(release("staging"))
    assert found["Deployment", "nginx"]["spec"]["replicas"] == 2
    for name in ("nginx", "gateway"):
        spread = manifests.pod(found["Deployment", name])["topologySpreadConstraints"]
        hosts = next(one for one in spread if one["topologyKey"] == "kubernetes.io/hostname")
        assert hosts["whenUnsatisfiable"] == "DoNotSchedule"


@pytest.mark.parametrize(
    ("live", "found"),
    [
        ({"a": 1, "more": 2}, []),
        ({"a": 2}, ["a"]),
        ({}, ["a"]),
    ],
)
def test_what_we_do_not_set_is_not_ours(live, found):
    assert manifests.differing({"a": 1}, live) == found


def test_what_has_a_name_is_found_behind_what_others_put_before_it():
    wanted = {"containers": [{"name": "gateway", "image": "a"}]}
    live = {"containers": [{"name": "sidecar", "image": "x"}, {"name": "gateway", "image": "b", "tty": False}]}
    assert manifests.differing(wanted, live) == ["containers[gateway].image"]


def test_a_release_of_this_target_runs_images(monkeypatch):
    values = load("orbstack").values
    made = make_release(values, tag="abc")
    assert made.artifacts["stack"] == "hftctl/stack:abc"
    assert made.target == "kubernetes"


@needs_kubectl
def test_what_is_rendered_for_people_is_what_is_applied(tmp_path):
    wanted = release(gateways=4)
    for name, content in KubernetesTarget("orbstack").rendered(wanted).items():
        (tmp_path / name).write_text(content)
    found = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(kustomized(tmp_path))}
    assert found == objects(wanted)
