"""hftctl plan and apply: the difference, saved; and exactly that, applied."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hftctl.cli import output
from hftctl.cli.confirm import asker
from hftctl.cli.options import (
    Bake,
    Canary,
    DryRun,
    Environment,
    Format,
    LockWait,
    Name,
    Output,
    Profile,
    Tag,
    Timeout,
    Wait,
    Yes,
)


def plan(
    profile: Profile = "local",
    environment: Environment = None,
    name: Name = None,
    tag: Tag = None,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Keep the plan, for hftctl apply.")
    ] = None,
    format_: Output = Format.TEXT,
) -> None:
    """Show the difference between a profile and what stands. Changes nothing.

    Exit code 3 when changes are pending, 0 when there is nothing to do.

    \b
    Examples:
      hftctl plan
      hftctl plan local --save plan.json && hftctl apply plan.json
    """
    from hftctl.cli.render import show_plan
    from hftctl.errors import ChangesPending
    from hftctl.operations.deploy import plan as compute
    from hftctl.plan import saved
    from hftctl.profile.load import load

    made = compute(load(profile, environment=environment).values, name=name, tag=tag)
    if save is not None:
        saved.save(made, save)
    if format_ is Format.JSON:
        output.whole(saved.document(made))
    else:
        show_plan(made.plan, output.put)
    if save is not None:
        output.say(f"saved; apply exactly this: hftctl apply {save}")
    if made.pending:
        raise typer.Exit(ChangesPending.exit_code)


def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A plan that hftctl plan --save wrote.")],
    wait: Wait = True,
    canary: Canary = True,
    bake: Bake = True,
    timeout: Timeout = None,
    lock_wait: LockWait = 0.0,
    dry_run: DryRun = False,
    yes: Yes = False,
    format_: Output = Format.TEXT,
) -> None:
    """Apply exactly a saved plan, or refuse if anything moved since.

    \b
    Examples:
      hftctl apply plan.json
      hftctl apply plan.json --yes --timeout 2m
    """
    from hftctl.cli.next_steps import deployed
    from hftctl.cli.progress import reporting
    from hftctl.cli.render import finish
    from hftctl.operations.deploy import apply_plan
    from hftctl.plan import saved

    made = saved.load(file)
    with reporting() as progress:
        result = apply_plan(
            made,
            confirm=asker(yes),
            progress=progress,
            timeout_s=timeout,
            dry_run=dry_run,
            wait=wait,
            canary=canary,
            bake=bake,
            lock_wait_s=lock_wait,
        )
    profile = made.release.profile
    finish(result, as_json=format_ is Format.JSON, text=lambda ended: deployed(ended, profile, output.put))
