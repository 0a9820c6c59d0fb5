"""Health answers at full load for a minute, with the limits that the profiles ship; ten seconds of it are in test_stack.py."""

import pytest

from tests.lab.docker.health import under_load

MINUTE = 60


@pytest.mark.long
@pytest.mark.parametrize("extends", ["compose", "stage1"])
def test_health_answers_within_a_second_at_full_load(lab, tmp_path, extends):
    scene = lab.scene(tmp_path, f"health-{extends}", "rollout:\n  timeout_s: 180\n", extends=extends)
    try:
        scene.deploy()
        asked = under_load(scene, MINUTE)
        assert asked.bad == []
        assert len(asked.seconds) >= MINUTE  # at least one a second was asked, and answered
        assert asked.slowest_s < 1.0
        assert asked.per_s > 100
    finally:
        scene.destroy()
