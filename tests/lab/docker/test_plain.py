"""The Compose file as users know it: `docker compose up`, no hftctl, and it takes orders and keeps them."""

import json
import time
import urllib.error
import urllib.request

import pytest

from tests.lab.docker.scene import ROOT, until
from tests.ports import free_ports

FILE = ROOT / "stack/compose/compose.yaml"
READY_S = 120.0
ORDER = {
    "client_order_id": "plain-1", "account": "demo", "symbol": "AAPL", "side": "buy", "type": "limit", "price": "190.01",
    "quantity": "10", "time_in_force": "GTC",
}  # fmt: skip


class Plain:
    """One project of Docker Compose."""

    def __init__(self, lab, port, project="plain", file=FILE):
        self._lab, self._port, self._project, self._file, self.key = lab, port, project, file, ""
        servers = lab.images.servers
        self._env = {
            "HFTCTL_STACK_IMAGE": lab.built.reference, "HFTCTL_PORT": str(port), "HFTCTL_POSTGRES_IMAGE": servers,
            "HFTCTL_REDIS_IMAGE": servers, "HFTCTL_NGINX_IMAGE": servers,
        }  # fmt: skip

    def compose(self, *words):
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self._env.items():
                patch.setenv(name, value)
            return self._lab.engine.docker("compose", "-p", self._project, "-f", self._file, *words, check=False)

    def up(self):
        """Until the door is ready; what Compose said is in the failure."""
        done = self.compose("up", "--detach", "--quiet-pull")
        assert done.returncode == 0, f"{done.stderr[-1500:]}\n{self.compose('logs', '--tail', '12').stdout}"
        deadline = time.monotonic() + READY_S
        while (answer := self.ask("/health/ready"))[0] != 200:
            assert time.monotonic() < deadline, f"{answer}\n{self.compose('ps', '-a').stdout}"
            time.sleep(0.5)

    def down(self):
        self.compose("down", "--volumes", "--timeout", "20")
        label = f"label=com.docker.compose.project={self._project}"
        assert self._lab.engine.docker("ps", "-aq", "--filter", label).stdout == ""

    def found(self):
        """What of the order is still open."""
        status, answer = self.ask("/orders?client_order_id=plain-1&account=demo")
        assert status == 200, answer
        return answer["orders"][0]["leaves_quantity"]

    def ask(self, path, body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}{path}", data=json.dumps(body).encode() if body else None,
            headers={"Authorization": f"Bearer {self.key}"} if self.key else {},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except OSError as error:
            return 0, str(error)


@pytest.fixture(scope="module")
def plain(lab):
    plain = Plain(lab, free_ports(1)[0])
    plain.up()
    yield plain
    plain.down()


def test_the_compose_file_of_users_is_valid(lab):
    done = lab.engine.docker("compose", "-f", FILE, "config", "--quiet")
    assert done.stderr == ""


def test_an_order_is_accepted_and_listed(plain):
    status, placed = plain.ask("/orders", ORDER)
    assert (status, placed["status"]) == (201, "open"), placed
    assert plain.found() == "10"


def test_every_container_becomes_healthy_and_the_jobs_have_ended_well(plain):
    def standing():
        lines = [json.loads(line) for line in plain.compose("ps", "-a", "--format", "json").stdout.splitlines()]
        return {one["Service"]: one["Health"] or f"{one['State']} {one['ExitCode']}" for one in lines}

    # What answers at the published port shows nginx; Compose has no look at it of its own.
    others = {"setup": "exited 0", "schema": "exited 0", "nginx": "running 0"}
    wanted = dict.fromkeys(("postgres", "redis", "engine", "gateway", "persister"), "healthy") | others
    until(lambda: standing() == wanted)


@pytest.mark.long
def test_down_and_up_keep_secrets_and_orders(plain):
    assert plain.compose("down", "--timeout", "20").returncode == 0
    plain.up()
    assert plain.found() == "10"


@pytest.fixture(scope="module")
def rendered(lab, tmp_path_factory):
    """A profile with more of everything, as files; and the project that runs them."""
    folder = tmp_path_factory.mktemp("rendered")
    scene = lab.scene(folder, "rendered")
    scene.want("gateways: 2\nauthentication: api_key\npartitions:\n  - ranges: ['0-9', 'A-M']\n  - ranges: ['N-Z']\n")
    scene.hftctl("render", str(scene.profile), "--to", str(folder / "files"))
    return Plain(lab, scene.http, "rendered", folder / "files" / "compose.yaml")


def test_what_is_rendered_of_a_profile_is_valid(rendered):
    done = rendered.compose("config", "--services")
    assert done.stderr == ""
    assert {"gateway-1", "gateway-2", "engine-0", "engine-1", "persister-1", "nginx"} <= set(done.stdout.split())


@pytest.mark.long
def test_what_is_rendered_of_a_profile_runs(rendered):
    try:
        rendered.up()
        assert rendered.ask("/orders", ORDER)[0] == 401
        key = rendered.compose("run", "--rm", "--entrypoint", "cat", "setup", "/srv/hftctl/keys/api_key.operator")
        rendered.key = key.stdout.strip()
        assert rendered.ask("/orders", ORDER)[0] == 201
        assert rendered.ask("/orders", {**ORDER, "client_order_id": "plain-2", "symbol": "TSLA"})[0] == 201
        assert rendered.found() == "10"
        down = json.loads(rendered.compose("ps", "-a", "--format", "json", "gateway-2").stdout)
        assert down["Health"] == "healthy"
    finally:
        rendered.down()
