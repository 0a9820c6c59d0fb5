"""An engine on another machine, over ssh: deployed from there, changed from here, and what a broken way is called."""

import shutil
import subprocess
import sys

import pytest

from tests.lab.docker import boundaries
from tests.lab.docker.elsewhere import HERE, elsewhere

SETTINGS = f"gateways: 1\nbind: {HERE}\nauthentication: api_key\nrollout:\n  timeout_s: 180\n"
NEEDED = ("ip", "ssh", "sshd", "ssh-keygen")
KNOCK = "import socket, sys; socket.create_connection((sys.argv[1], 5432), 2)"


@pytest.fixture(scope="module")
def there(lab, tmp_path_factory):
    if missing := [name for name in NEEDED if shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/sbin") is None]:
        pytest.skip(f"install openssh-server and iproute2: there is no {', '.join(missing)}")
    with elsewhere(lab.engine, tmp_path_factory.mktemp("elsewhere")) as there:
        yield there


@pytest.fixture(scope="module")
def scene(lab, tmp_path_factory):
    scene = lab.scene(tmp_path_factory.mktemp("remote"), "remote", SETTINGS)
    scene.want(SETTINGS)
    yield scene
    scene.destroy()


def test_a_stack_is_deployed_and_proved_over_ssh_and_both_see_the_same_history(scene, there):
    done = there.hftctl("deploy", str(scene.profile), "--yes")
    assert done["result"] == "ready"
    assert (done["proofs"][0]["order"]["status"], done["proofs"][0]["rows"]) == ("filled", 2)
    assert done["endpoint"] == f"http://{HERE}:{scene.http}"
    assert there.hftctl("deploy", str(scene.profile), "--yes")["result"] == "unchanged"
    scene.hftctl("restart", "redis", "-p", scene.name, "--yes")
    seen = [hftctl("history", "-p", scene.name) for hftctl in (there.hftctl, scene.hftctl)]
    assert seen[0] == seen[1]
    assert there.hftctl("status", "-p", scene.name)["state"] == "ready"


def test_postgresql_was_not_reached_by_any_address(scene, there):
    networks = scene.inspect("postgres-0")["NetworkSettings"]["Networks"]
    address = next(iter(networks.values()))["IPAddress"]
    subprocess.run([sys.executable, "-c", KNOCK, address], check=True)  # from the engine's own machine it is
    assert there.run(sys.executable, "-c", KNOCK, address).returncode == 1


@pytest.mark.long
def test_a_lock_dies_with_its_holder_on_the_other_machine(scene, there):
    words = [
        sys.executable,
        "-m",
        "tests.lab.docker.killed",
        "after:1",
        "restart",
        "gateway",
        "-p",
        scene.name,
        "--yes",
    ]
    assert there.run(*words).returncode == -9
    assert boundaries.lock_free_s(scene) < boundaries.FREE_S_MAX
    assert there.hftctl("rollout", "continue", "-p", scene.name, "--yes")["result"] == "ready"


@pytest.mark.long
def test_a_command_runs_in_a_component_and_a_port_leads_there(scene, there):
    done = there.run(
        sys.executable, "-P", "-m", "hftctl", "exec", "redis", "-p", scene.name, "--", "valkey-cli", "ping"
    )
    assert (done.returncode, done.stdout.strip()) == (0, "PONG"), done.stderr


def test_an_engine_whose_machine_does_not_answer_is_said_to_be_that(scene, there):
    there.sshd.kill()
    there.sshd.wait()
    error = there.hftctl("status", "-p", scene.name, expect=(13,))
    assert "ssh://elsewhere" in error["message"]
    assert "Connection refused" in error["message"]
    assert "ssh -- elsewhere docker version" in error["hint"]
