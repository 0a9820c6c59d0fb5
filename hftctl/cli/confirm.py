"""Asks before something is changed, or refuses where nobody can be asked, with the exact command to type."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hftctl.cli import output, progress
from hftctl.errors import ConfirmationNeeded, Refused

if TYPE_CHECKING:
    from hftctl.operations.terms import Intention

_words: list[str] = []


def remember(words: Sequence[str]) -> None:
    """The command line, to be shown again with --yes."""
    _words[:] = words


def command_with(*more: str) -> str:
    end = _words.index("--") if "--" in _words else len(_words)  # behind it everything is a name
    return shlex.join(["hftctl", *_words[:end], *more, *_words[end:]])


def asker(yes: bool) -> Callable[[Intention], bool]:
    """What operations call with their intention."""

    def ask(intention: Intention) -> bool:
        if not yes:
            from hftctl.cli.render import show_plan, show_take_down

            output.say(f"{intention.verb} '{intention.deployment}' on {intention.target} ({intention.environment}):")
            if intention.verb in {"stop", "destroy"}:
                show_take_down(intention.verb, intention.plan, intention.data, output.say)
            elif intention.plan.changes:
                show_plan(intention.plan, output.say)
        for finding in intention.findings:
            output.say(f"{output.paint('warning:', '33', sys.stderr)} {finding.message}")
        what = f"{intention.verb} '{intention.deployment}'"
        if intention.data:
            return yes or _typed(what, intention.deployment)
        return confirmed(what, yes=yes)

    return ask


def confirmed(what: str, *, yes: bool) -> bool:
    if yes:
        return True
    _need_terminal(what)
    progress.pause()
    sys.stderr.write(f"{what}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def confirm_or_refuse(what: str, *, yes: bool) -> None:
    if not confirmed(what, yes=yes):
        raise Refused(f"{what} was declined; nothing was changed")


def _typed(what: str, name: str) -> bool:
    named = () if any(word in {"-p", "--profile"} or word.startswith("--profile=") for word in _words) else ("-p", name)
    _need_terminal(f"{what} with its data", *named)
    progress.pause()
    sys.stderr.write(f"Journals, database and secrets of '{name}' go too, for good. Type its name to go on: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() == name


def _need_terminal(what: str, *more: str) -> None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfirmationNeeded(
            f"{what} needs a yes, and there is no terminal to ask on", hint=f"type: {command_with(*more, '--yes')}"
        )
