"""hftctl restart and rollback: rollouts of what stands already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hftctl.cli.confirm import asker, command_with
from hftctl.cli.options import Bake, Deployment, DryRun, Format, LockWait, Output, Timeout, Wait, Yes

if TYPE_CHECKING:
    from hftctl.operations.terms import RolloutResult


def restart(
    components: Annotated[
        list[str] | None,
        typer.Argument(metavar="[COMPONENT]...", help="gateway-1, or gateway for all of them; default: everything."),
    ] = None,
    name: Deployment = None,
    wait: Wait = True,
    timeout: Timeout = None,
    lock_wait: LockWait = 0.0,
    dry_run: DryRun = False,
    yes: Yes = False,
    format_: Output = Format.TEXT,
) -> None:
    """Start components anew, one after the other, and prove the stack by an order.

    What can run twice starts first and takes over; while an engine
    restarts, requests wait for it.

    \b
    Examples:
      hftctl restart engine
      hftctl restart gateway-2 nginx -p local --yes
    """
    from hftctl.cli.progress import reporting
    from hftctl.operations.changing import restart as run

    with reporting() as progress:
        result = run(
            name, components or (), confirm=asker(yes), progress=progress, timeout_s=timeout, dry_run=dry_run, wait=wait,
            lock_wait_s=lock_wait, again=command_with(),
        )  # fmt: skip
    show(result, format_)


def rollback(
    revision: Annotated[
        int | None, typer.Argument(metavar="[REVISION]", help="Its number in hftctl history; default: the one before.")
    ] = None,
    name: Deployment = None,
    wait: Wait = True,
    bake: Bake = True,
    timeout: Timeout = None,
    lock_wait: LockWait = 0.0,
    dry_run: DryRun = False,
    yes: Yes = False,
    format_: Output = Format.TEXT,
) -> None:
    """Go back to an earlier revision. Data and passwords stay as they are.

    \b
    Examples:
      hftctl rollback
      hftctl rollback 3 -p local --yes
    """
    from hftctl.cli.progress import reporting
    from hftctl.operations.changing import rollback as run

    with reporting() as progress:
        result = run(
            name, revision, confirm=asker(yes), progress=progress, timeout_s=timeout, dry_run=dry_run, wait=wait,
            lock_wait_s=lock_wait, bake=bake, again=command_with(),
        )  # fmt: skip
    show(result, format_)


def show(result: RolloutResult, format_: Format) -> None:
    from hftctl.cli.next_steps import changed
    from hftctl.cli.render import finish

    finish(result, as_json=format_ is Format.JSON, text=changed)
