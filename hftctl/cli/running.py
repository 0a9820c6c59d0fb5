"""hftctl start, stop and destroy: what is done to a deployment that stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hftctl.cli import output
from hftctl.cli.called import typed
from hftctl.cli.confirm import asker, command_with
from hftctl.cli.options import Deployment, DryRun, Format, LockWait, Output, Timeout, Wait, Yes

if TYPE_CHECKING:
    from hftctl.operations.running import StopResult


def start(
    name: Deployment = None,
    wait: Wait = True,
    timeout: Timeout = None,
    lock_wait: LockWait = 0.0,
    dry_run: DryRun = False,
    yes: Yes = False,
    format_: Output = Format.TEXT,
) -> None:
    """Bring the last revision up again, or what is missing of it.

    \b
    Examples:
      hftctl start
      hftctl start -p local --yes --timeout 1m
    """
    from hftctl.cli.next_steps import deployed
    from hftctl.cli.progress import reporting
    from hftctl.cli.render import finish
    from hftctl.operations.running import start as run
    from hftctl.operations.standing import open_standing

    revisions = open_standing(name).revisions()
    with reporting() as progress:
        result = run(
            name,
            confirm=asker(yes),
            progress=progress,
            timeout_s=timeout,
            dry_run=dry_run,
            wait=wait,
            lock_wait_s=lock_wait,
        )
    profile = revisions[-1].release.profile
    finish(result, as_json=format_ is Format.JSON, text=lambda ended: deployed(ended, profile, output.put))


def stop(
    name: Deployment = None,
    lock_wait: LockWait = 0.0,
    dry_run: DryRun = False,
    yes: Yes = False,
    format_: Output = Format.TEXT,
) -> None:
    """Stop all components; everything on disk stays.

    \b
    Examples:
      hftctl stop
      hftctl stop -p local --yes
    """
    from hftctl.cli.progress import reporting
    from hftctl.operations.running import stop as run

    with reporting() as progress:
        result = run(name, confirm=asker(yes), progress=progress, dry_run=dry_run, lock_wait_s=lock_wait)
    show(result, format_, f"start it again: hftctl start -p {result.deployment}")


def destroy(
    name: Deployment = None,
    data: Annotated[
        bool, typer.Option("--data", help="Journals, database and secrets too; needs -p NAME with --yes.")
    ] = False,
    lock_wait: LockWait = 0.0,
    dry_run: DryRun = False,
    yes: Yes = False,
    format_: Output = Format.TEXT,
) -> None:
    """Stop a deployment and remove what deploy wrote. Data stays.

    \b
    Examples:
      hftctl destroy
      hftctl destroy -p local --data --yes
    """
    from hftctl.cli.progress import reporting
    from hftctl.errors import ConfirmationNeeded
    from hftctl.operations.running import destroy as run

    if data and yes and name is None:
        raise ConfirmationNeeded(
            "data is destroyed by name only", hint=f"say whose: {command_with('-p', 'NAME')}, after hftctl status"
        )
    with reporting() as progress:
        result = run(name, data=data, confirm=asker(yes), progress=progress, dry_run=dry_run, lock_wait_s=lock_wait)
    kept = "data is gone too" if data else f"data stays; remove it: hftctl destroy -p {result.deployment} --data"
    show(result, format_, kept)


def show(result: StopResult, format_: Format, more: str) -> None:
    from hftctl.cli.render import plan_body, show_take_down

    if format_ is Format.JSON:
        names = ("deployment", "target", "verb", "result", "duration_s", "data")
        body = {name: getattr(result, name) for name in names}
        output.document(result.verb.capitalize(), body | {"plan": plan_body(result.plan)})
    elif result.result == "planned":
        show_take_down(result.verb, result.plan, result.data, output.put)
    else:
        output.put(f"'{result.deployment}' is {result.result} ({output.duration(result.duration_s)}); {typed(more)}")
