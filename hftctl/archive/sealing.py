"""Secrets in a backup: encrypted with age to a recipient, whose identity never comes near this machine, or left out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hftctl.errors import Refused, UsageError


def recipient_of(text: str) -> Any:
    """Raises UsageError for what is none."""
    import pyrage

    try:
        return pyrage.x25519.Recipient.from_str(text.strip())
    except pyrage.RecipientError as error:
        raise UsageError(
            f"cannot encrypt to {text!r}: {error}", hint="a recipient begins with age1; make one: age-keygen"
        ) from error


def seal(files: Mapping[str, bytes], recipient: str) -> bytes:
    """Raises UsageError for what is no recipient."""
    import pyrage

    to = recipient_of(recipient)
    plain = json.dumps({name: content.decode() for name, content in sorted(files.items())}).encode()
    return bytes(pyrage.encrypt(plain, [to]))


def unseal(sealed: bytes, identity: Path) -> dict[str, bytes]:
    """`identity`: a file as age-keygen makes it. Raises Refused when none of its keys fits."""
    import pyrage

    try:
        lines = [line.strip() for line in identity.read_text().splitlines()]
        keys = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
        read: dict[str, str] = json.loads(pyrage.decrypt(sealed, keys))
    except (OSError, UnicodeDecodeError, pyrage.IdentityError) as error:
        raise UsageError(
            f"cannot read the identity in {identity}: {error}", hint="age-keygen makes such a file"
        ) from error
    except pyrage.DecryptError as error:
        raise Refused(
            f"cannot decrypt the backup's secrets with the identity in {identity}: {error}",
            hint="give the identity of the recipient they were encrypted to: hftctl backup list -o json names it",
        ) from error
    return {name: text.encode() for name, text in read.items()}
