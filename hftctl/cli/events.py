"""hftctl events: what happened, when, and who did it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from hftctl.cli import output
from hftctl.cli.called import typed
from hftctl.cli.clock import Clock
from hftctl.cli.options import Deployment, Follow, Format, Output, Since
from hftctl.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from hftctl.targets.base import Event

BAD = {"died", "failed", "reverted", "halt-failed", "resume-failed", "killed", "interrupted", "damaged"}
WORD_CHARACTERS = 11
SLOW = {"waits", "reverting", "unhealthy", "halt", "halted", "drain"}


def events(
    components: Annotated[
        list[str] | None, typer.Argument(metavar="COMPONENT", help="engine-0, or gateway for all; hftctl: rollouts.")
    ] = None,
    name: Deployment = None,
    follow: Follow = False,
    since: Since = None,
    format_: Output = Format.TEXT,
) -> None:
    """Show what happened, oldest first: rollouts step by step, starts, crashes
    and why, health, halts, commands of exec; and who did it.

    \b
    Examples:
      hftctl events --since 1h
      hftctl events gateway -f
    """
    from hftctl.operations.events import events as read

    if follow and format_ is Format.JSON:
        raise UsageError("-f never ends; it does not go with -o json", hint="leave -f out")
    found = read(name, components or (), since_s=since, follow=follow)
    if format_ is Format.JSON:
        listed = list(found.events)
        output.document("Events", {"deployment": found.deployment, "count": len(listed), "events": listed})
        return
    clock, event = Clock(every=True), None
    try:
        for event in found.events:
            output.hanging(_head(event, clock(event.time_ns)), f"{event.message} ({event.actor})")
            if follow:
                output.flush()
        if event is None:
            output.say(typed(f"nothing happened in that time; all there is: hftctl events -p {found.deployment}"))
    except KeyboardInterrupt:
        if not follow:
            raise
        raise typer.Exit(Interrupted.exit_code) from None  # the usual way to end it, nothing to explain


def _head(event: Event, clock: str) -> str:
    style = "31" if event.event in BAD else "33" if event.event in SLOW else "32" if event.event == "ready" else ""
    word = output.paint(event.event, style, sys.stdout) if style else event.event
    return f"{clock}  {event.component:<12}  {word}{' ' * (WORD_CHARACTERS - len(event.event))}"
