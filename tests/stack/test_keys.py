import hashlib
from pathlib import Path

import pytest

from stack.keys import Caller, Keys, KeysError


def line(key: str, role: str, account: str) -> str:
    return f"{hashlib.sha256(key.encode()).hexdigest()} {role} {account}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "api_keys"
    path.write_text("# who may\n\n" + line("key-a", "trader", "alice") + line("key-o", "operator", "*"))
    return path


def test_a_key_finds_its_caller(path: Path) -> None:
    keys = Keys(path)
    assert len(keys) == 2
    assert keys.find(b"key-a") == Caller("trader", "alice")
    assert keys.find(b"key-o") == Caller("operator", None)
    assert keys.find(b"key-b") is None and keys.find(b"") is None


@pytest.mark.parametrize(
    ("header", "role"),
    [
        (b"Bearer key-a", "trader"),
        (b"bearer key-a", "trader"),
        (b"Bearer  key-o ", "operator"),
        (b"Basic key-a", None),
        (b"key-a", None),
        (b"Bearer", None),
        (b"Bearer ", None),
        (b"Bearer key-a key-o", None),
        (b"", None),
        (None, None),
    ],
)
def test_the_authorization_header(path: Path, header: bytes | None, role: str | None) -> None:
    caller = Keys(path).caller(header)
    assert (caller.role if caller else None) == role


def test_the_hash_itself_is_no_key(path: Path) -> None:
    assert Keys(path).find(hashlib.sha256(b"key-a").hexdigest().encode()) is None


def test_reload_takes_all_or_nothing(path: Path) -> None:
    keys = Keys(path)
    path.write_text(line("key-n", "trader", "bob") + "nonsense\n")
    with pytest.raises(KeysError, match=r"api_keys:2: 1 words"):
        keys.reload()
    assert keys.find(b"key-a") and not keys.find(b"key-n")
    path.write_text(line("key-n", "trader", "bob"))
    keys.reload()
    assert keys.find(b"key-n") and not keys.find(b"key-a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zz trader alice\n", "no SHA-256"),
        (line("k", "admin", "alice"), "role 'admin'"),
        (line("k", "trader", "*"), "only an operator"),
        (line("k", "trader", "a/b"), "account 'a/b'"),
        (line("k", "trader", "a") * 2, ":2: this key stands there twice"),
        ("sha trader a b c\n", "words"),
        ("\u00e4", "not ASCII"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "api_keys"
    path.write_text(text)
    with pytest.raises(KeysError, match=message) as caught:
        Keys(path)
    assert hashlib.sha256(b"k").hexdigest() not in str(caught.value)


def test_a_missing_file_says_what_was_tried(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match="cannot read API keys"):
        Keys(tmp_path / "none")


def test_who_sees_what() -> None:
    assert Caller("trader", "alice").may_see("alice") and not Caller("trader", "alice").may_see("bob")
    assert Caller("operator", "ops").may_see("bob") and Caller("operator", None).may_see("bob")
