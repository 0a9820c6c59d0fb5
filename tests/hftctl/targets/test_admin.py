import json
import socket
import threading

import pytest

from hftctl.errors import Failed, NotFound
from hftctl.targets.admin import ask


@pytest.fixture
def engine(tmp_path):
    """A socket in a folder whose name alone is longer than an address may be; answers each line with `replies`."""
    folder = tmp_path / ("d" * 120)
    folder.mkdir()
    server = socket.socket(socket.AF_UNIX)
    here = tmp_path / "engine-0.admin.sock"
    server.bind(str(here))
    here.rename(folder / here.name)
    server.listen()
    replies, heard = [], []

    def serve():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                heard.append(json.loads(connection.makefile().readline()))
                connection.sendall(replies.pop(0))

    thread = threading.Thread(target=serve)
    thread.start()
    yield folder / here.name, replies, heard
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


def test_one_object_there_and_one_back_over_a_long_path(engine):
    path, replies, heard = engine
    replies.append(b'{"halted": true}\n')
    assert ask(path, {"command": "halt", "why": "test"}, timeout_s=5) == {"halted": True}
    assert heard == [{"command": "halt", "why": "test"}]


@pytest.mark.parametrize(
    ("reply", "said"), [(b"", "without a whole answer"), (b'{"a":', "whole answer"), (b"[]\n", "not an object")]
)
def test_a_bad_answer_is_no_answer(engine, reply, said):
    path, replies, _ = engine
    replies.append(reply)
    with pytest.raises(Failed, match=said):
        ask(path, {"command": "status"}, timeout_s=5)


def test_nobody_there_is_not_found(tmp_path):
    with pytest.raises(NotFound, match=r"cannot reach the engine at .*none\.sock"):
        ask(tmp_path / "none.sock", {}, timeout_s=1)
