"""Health answers at full load with the limits that the profiles ship; a minute of it is in the long form."""

import pytest

from tests.lab.docker.health import under_load

SECONDS = 10


@pytest.mark.parametrize("extends", ["compose", pytest.param("stage1", marks=pytest.mark.long)])
def test_health_answers_within_a_second_at_full_load(lab, tmp_path, extends):
    scene = lab.scene(tmp_path, f"health-{extends}", "rollout:\n  timeout_s: 180\n", extends=extends)
    try:
        scene.deploy()
        asked = under_load(scene, SECONDS)
        assert asked.bad == []
        assert len(asked.seconds) >= SECONDS  # at least one a second was asked, and answered
        assert asked.slowest_s < 1.0
        assert asked.per_s > 100
    finally:
        scene.destroy()
