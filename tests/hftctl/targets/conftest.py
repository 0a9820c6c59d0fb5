import pytest

pytest.register_assert_rewrite("tests.hftctl.targets.contract")
