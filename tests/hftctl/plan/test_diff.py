from hftctl.plan.change import Op
from hftctl.plan.diff import diff, differences


def ops(plan):
    return [(change.subject, change.op) for change in plan.changes]


def test_wanted_comes_in_its_own_order_and_deletes_last_in_reverse():
    plan = diff(
        {"postgres-0": {"v": 1}, "engine-0": {"v": 2}, "nginx": {"v": 1}},
        {"trader": {}, "nginx": {"v": 1}, "engine-0": {"v": 1}, "grafana": {}},
    )
    assert ops(plan) == [
        ("postgres-0", Op.CREATE),
        ("engine-0", Op.UPDATE),
        ("nginx", Op.KEEP),
        ("grafana", Op.DELETE),
        ("trader", Op.DELETE),
    ]


def test_no_difference_is_nothing_pending():
    state = {"engine-0": {"settings": {"a": [1, 2]}}}
    assert diff(state, dict(state)).pending == ()


def test_the_cause_names_key_paths_with_both_values():
    before = {"settings": {"client_ids_max": 4194304, "accounts": ["a", "b"]}, "code": "x"}
    after = {"settings": {"client_ids_max": 100, "accounts": ["a", "c"]}, "port": 8080, "code": "x"}
    (change,) = diff({"engine-0": after}, {"engine-0": before}).changes
    assert change.cause == "settings.client_ids_max 4194304 -> 100, settings.accounts[1] b -> c, port (none) -> 8080"


def test_a_long_cause_is_cut_and_counted():
    (change,) = diff({"x": {str(n): "n" * 99 for n in range(5)}}, {"x": {}}).changes
    assert change.cause.endswith("and 2 more")
    assert len(change.cause) < 200


def test_of_lists_only_what_came_and_went_is_told_and_of_hashes_the_beginning():
    before = {"settings": {"components": ["engine-0", "gateway-1"], "release": "a" * 64, "lines": list("abcdef")}}
    after = {"settings": {"components": ["engine-0", "gateway-2", "x"], "release": "b" * 64, "lines": list("abcdexyz")}}
    assert differences(before, after) == (
        "settings.components 2 added, 1 taken away, settings.release aaaaaaaaaaaa -> bbbbbbbbbbbb, "
        "settings.lines 3 added, 1 taken away"
    )
    assert differences({"c": ["a", "b"]}, {"c": ["b", "c", "b"]}) == "c with c, without a"
    assert differences({"c": ["a", "b"]}, {"c": ["a", "b", "b"]}) == 'c ["a", "b"] -> ["a", "b", "b"]'
    assert differences({"c": "x" * 99}, {"c": "x" * 98}) == "c changed further on"
