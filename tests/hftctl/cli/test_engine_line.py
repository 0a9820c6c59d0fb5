"""What `status` says of an engine in one line."""

from hftctl.cli.status import engine_line
from stack.matcher.tally import SessionTally


def test_sessions_are_told_where_somebody_came():
    tally = SessionTally()
    assert "session" not in engine_line({"sessions": tally.as_json()})
    assert "session" not in engine_line({}), "of an engine from before there were any"
    tally.opened, tally.open, tally.batches = 3, 1, 70
    assert engine_line({"sessions": tally.as_json()}).endswith("sessions open 1, batches 70")
    tally.refused.update({"unauthorized": 2, "bad_frame": 1})
    assert engine_line({"sessions": tally.as_json()}).endswith(
        "batches 70, sessions refused: bad_frame 1 unauthorized 2"
    )
