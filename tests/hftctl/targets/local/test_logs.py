import json

import pytest

from hftctl.paths import Layout
from hftctl.targets.local import rotation, standing
from hftctl.targets.local.log_stream import parse, stream
from hftctl.targets.local.tail import GAP
from tests.hftctl.targets.local.conftest import output


def service_line(second, message):
    time = f"2026-01-31T09:30:{second:02d}.000000Z"
    return json.dumps({"time": time, "level": "info", "component": "x", "message": message, "fields": {"n": 1}}) + "\n"


@pytest.fixture
def logs(tmp_path):
    return tmp_path


def texts(logs, *components):
    return [line.text for line in stream(logs, components, since_s=None, follow=False)]


def test_components_come_together_in_the_order_of_time(logs):
    (logs / "engine-0.log").write_text(service_line(1, "one") + service_line(4, "four"))
    (logs / "postgres-0.out").write_text("2026-01-31 09:30:02.500 UTC [77] LOG:  two\n")
    (logs / "nginx.log").write_text("2026/01/31 09:30:03 [warn] 1#1: three\n")
    (logs / "redis.log").write_text("9:M 31 Jan 2026 09:30:05.125 * five\n")
    assert texts(logs) == ["info one n=1", "[77] LOG:  two", "[warn] 1#1: three", "info four n=1", "* five"]
    assert texts(logs, "engine-0") == ["info one n=1", "info four n=1"]
    [two] = list(stream(logs, ["postgres-0"], since_s=None, follow=False))
    assert two.time_ns == 1769851802_500_000_000


def test_a_traceback_stays_behind_its_line(logs):
    (logs / "a.log").write_text(service_line(1, "one") + "Traceback\n  more\n" + service_line(3, "three"))
    (logs / "b.log").write_text(service_line(2, "two"))
    assert texts(logs) == ["info one n=1", "Traceback", "  more", "info two n=1", "info three n=1"]


def test_rotated_files_come_first_and_nothing_twice(logs):
    (logs / "a.log.2").write_text(service_line(1, "one"))
    (logs / "a.log.1").write_text(service_line(2, "two"))
    (logs / "a.log").write_text(service_line(3, "three"))
    assert texts(logs) == ["info one n=1", "info two n=1", "info three n=1"]


def test_since_leaves_out_what_is_older(logs):
    (logs / "a.log").write_text(service_line(1, "old"))
    (logs / "b.out").write_text("just said, without a time\n")
    lines = list(stream(logs, [], since_s=3600, follow=False))
    assert [line.text for line in lines] == ["just said, without a time"]


def test_following_loses_and_repeats_nothing_over_a_rotation(logs):
    path = logs / "a.log"
    path.write_text(service_line(1, "one"))

    def rotate_now():
        with path.open("a") as file:
            file.write(service_line(2, "two"))
            path.rename(logs / "a.log.1")
            file.write(service_line(3, "three"))  # whoever still has the old file open
        path.write_text(service_line(4, "four") + '{"half":')

    def end_the_line():
        with path.open("a") as file:
            file.write(" 1}\n")
        (logs / "b.out").write_text("new component\n")

    events = iter([rotate_now, end_the_line])
    found = []

    def wait(_):
        action = next(events, None)
        if action is None:
            raise KeyboardInterrupt
        action()

    with pytest.raises(KeyboardInterrupt):
        for line in stream(logs, [], since_s=None, follow=True, wait=wait):
            found.append(line.text)
    assert found == ["info one n=1", "info two n=1", "info three n=1", "info four n=1", '{"half": 1}', "new component"]


def test_what_is_no_log_line_is_shown_as_it_is():
    assert parse('{"time": 5}') == (0, '{"time": 5}')
    assert parse("plain") == (0, "plain")


def test_rotation_keeps_the_newest_few(stage):
    program = "import signal\nprint('up', flush=True)\nwhile True: signal.pause()"
    process = stage.process(program, logs=("part.log",))
    stage.apply(program, logs=("part.log",))
    stage.until(lambda: stage.record() and "up" in output(stage.layout), "it is up")
    logs = stage.layout.logs
    for number in range(6):
        (logs / "part.log").write_text(f"{number}" * 20)
        assert rotation.rotate(logs, process, stage.record(), limit=10) == ["part.log"]
    assert sorted(path.name for path in logs.glob("part.log*")) == [
        f"part.log.{n}" for n in range(1, rotation.KEPT + 1)
    ]
    assert (logs / "part.log.1").read_text() == "5" * 20
    assert rotation.rotate(logs, process, stage.record(), limit=10) == []


def test_a_signal_tells_who_does_not_see_a_rename(stage):
    program = "import signal\nsignal.signal(signal.SIGUSR1, lambda *_: print('again', flush=True))\n"
    program += "print('up', flush=True)\nwhile True: signal.pause()"
    stage.apply(program, reopen="SIGUSR1", logs=("part.log",))
    stage.until(lambda: "up" in output(stage.layout), "it is up")
    (stage.layout.logs / "part.log").write_text("y" * 200)
    process = stage.process(program, reopen="SIGUSR1", logs=("part.log",))
    assert rotation.rotate(stage.layout.logs, process, stage.record(), limit=100) == ["part.log"]
    stage.until(lambda: "again" in output(stage.layout), "it was told")
    rotation.rotate(stage.layout.logs, process, stage.record(), limit=100)
    stage.until(lambda: output(stage.layout).count("again") == 2, "it is told until the new file is there")


def test_of_a_growing_output_the_beginning_is_given_back_and_lines_stay_whole(tmp_path):
    out = tmp_path / "part.out"
    with out.open("ab", buffering=0) as still_open:
        for number in range(20_000):
            still_open.write(b"line %06d\n" % number)
        before = out.stat()
        assert rotation.trim(out, 100_000, 50_000)
        after = out.stat()
        assert (after.st_size, after.st_blocks * 512 < 60_000) == (before.st_size, True)
        still_open.write(b"the last\n")
    found = [line.text for line in stream(tmp_path, [], since_s=None, follow=False)]
    assert found[-1] == "the last"
    assert found[:-1] == [f"line {number:06d}" for number in range(20_001 - len(found), 20_000)]
    assert 4000 < len(found) < 5000
    assert not rotation.trim(out, 100_000, 50_000), "what is left is small enough"


def test_a_large_output_is_put_aside_when_its_component_starts_anew(tmp_path):
    (tmp_path / "part.out").write_text("one\n")
    rotation.rotate_output(tmp_path, "part", limit=100)
    assert not (tmp_path / "part.out.1").exists()
    rotation.rotate_output(tmp_path, "part", limit=1)
    assert (tmp_path / "part.out.1").read_text() == "one\n"
    assert not (tmp_path / "part.out").exists()


def test_several_rotations_between_two_looks_lose_nothing(logs):
    path = logs / "a.log"
    path.write_text(service_line(0, "0"))

    def rotate_often():
        for number in range(1, 4):
            rotation.shift(path)
            path.write_text(service_line(number, str(number)))

    def rotate_too_often():
        for number in range(4, 12):
            rotation.shift(path)
            path.write_text(service_line(number, str(number)))

    events = iter([rotate_often, rotate_too_often])
    found = []

    def wait(_):
        action = next(events, None)
        if action is None:
            raise KeyboardInterrupt
        action()

    with pytest.raises(KeyboardInterrupt):
        for line in stream(logs, [], since_s=None, follow=True, wait=wait):
            found.append(line.text)
    assert found[:4] == [f"info {number} n=1" for number in range(4)]
    assert found[4] == GAP, "what cannot be shown any more is said"
    assert found[5:] == [f"info {number} n=1" for number in range(7, 12)]


def test_only_the_newest_of_those_that_are_there_and_all_that_come(logs):
    (logs / "a.log").write_text("".join(service_line(number, str(number)) for number in range(5)))

    def write(_):
        if len(found) > 2:
            raise KeyboardInterrupt
        with (logs / "a.log").open("a") as file:
            file.write(service_line(5, "5"))

    found = []
    with pytest.raises(KeyboardInterrupt):
        for line in stream(logs, [], since_s=None, follow=True, past=lambda lines: iter(list(lines)[-2:]), wait=write):
            found.append(line.text)
    assert found == ["info 3 n=1", "info 4 n=1", "info 5 n=1"]


def test_what_a_component_says_at_each_death_is_quoted_once(tmp_path):
    layout = Layout(tmp_path / "paper")
    layout.logs.mkdir(parents=True)
    (layout.logs / "nginx.out").write_text("bind() failed\n" * 5 + "   \nno such file\n" + "bind() failed\n")
    assert standing.last_lines(layout, "nginx") == "bind() failed | no such file"
