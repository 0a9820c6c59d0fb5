"""Secrets of a deployment: made once, never in a variable, a label or a command line.

`credentials` is mounted, each pod sees only the entries that it reads, and holds of API keys only hashes. The keys themselves stand in
`keys`, which no pod sees. Neither changes its name with its content: a release does not know what is inside, and what stateful parts were
made with stays.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping, Sequence

from hftctl.targets.kubernetes import names
from hftctl.targets.kubernetes.store import Store, secret
from hftctl.targets.local.credentials import OPERATOR, SECRET_CHARACTERS_MIN
from hftctl.targets.local.servers import VALKEY_SECRET
from hftctl.targets.local.services import API_KEYS, OWN_ACCOUNTS, POSTGRES_PASSWORD, REDIS_PASSWORD

OPERATOR_KEY = f"api_key.{OPERATOR}"


def make(store: Store, accounts: Sequence[str]) -> None:
    """Whatever is missing; what is there stays."""
    there, keys = read(store, names.CREDENTIALS), read(store, names.KEYS)
    wanted_keys = {one: keys.get(one) or secrets.token_urlsafe(32) for one in _key_names(accounts)}
    if keys != keys | wanted_keys:
        _write(store, names.KEYS, keys | wanted_keys)
    passwords = {one: there.get(one) or secrets.token_urlsafe(32) for one in (POSTGRES_PASSWORD, REDIS_PASSWORD)}
    lines = [f"{_hash(wanted_keys[name])} {who}" for name, who in _key_names(accounts).items()]
    wanted = {
        **passwords,
        VALKEY_SECRET: f"requirepass {passwords[REDIS_PASSWORD]}\n",
        API_KEYS: "\n".join(lines) + "\n",
    }
    if there != wanted:
        _write(store, names.CREDENTIALS, wanted)


def _key_names(accounts: Sequence[str]) -> dict[str, str]:
    """File name of each key -> the role and account that it is good for."""
    found = {OPERATOR_KEY: "operator *"}
    for account in [*accounts, *OWN_ACCOUNTS]:
        found[f"api_key.{account}" if account != OPERATOR else f"api_key.account.{account}"] = f"trader {account}"
    return found


def read(store: Store, name: str) -> dict[str, str]:
    return secret(store.read("Secret", name))


def values(store: Store) -> list[str]:
    there = read(store, names.CREDENTIALS)
    found = [there.get(POSTGRES_PASSWORD, ""), there.get(REDIS_PASSWORD, ""), *read(store, names.KEYS).values()]
    return [value for value in found if len(value) >= SECRET_CHARACTERS_MIN]


def _write(store: Store, name: str, content: Mapping[str, str]) -> None:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in content.items()}
    store.write("Secret", name, type="Opaque", data=data)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
