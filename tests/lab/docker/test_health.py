"""Health answers at full load with the limits that the profiles ship; a minute of it is in the long form."""

import pytest

from tests.lab.docker.health import under_load

MINUTE = 60


@pytest.mark.parametrize(
    ("extends", "seconds"),
    [
        ("compose", 10),
        pytest.param("compose", MINUTE, marks=pytest.mark.long),
        pytest.param("stage1", MINUTE, marks=pytest.mark.long),
    ],
)
def test_health_answers_within_a_second_at_full_load(lab, tmp_path, extends, seconds):
    scene = lab.scene(tmp_path, f"health-{extends}", "rollout:\n  timeout_s: 180\n", extends=extends)
    try:
        scene.deploy()
        asked = under_load(scene, seconds)
        assert asked.bad == []
        assert len(asked.seconds) >= seconds  # at least one a second was asked, and answered
        assert asked.slowest_s < 1.0
        assert asked.per_s > 100
    finally:
        scene.destroy()
