"""hftctl tune apply: make this host so."""

from __future__ import annotations

from typing import Annotated

import typer

from hftctl.cli.options import DryRun, Format, LockWait, Output, Yes
from hftctl.cli.tune_options import THIS_MACHINE, Bind, Force, HostProfile, Isolate, Only, Root


def apply(
    host_profile: HostProfile = "",
    isolate: Isolate = "",
    only: Only = None,
    bind: Bind = None,
    force: Force = None,
    boot: Annotated[
        bool, typer.Option("--boot", help="What is applied already, again after a start: what no file keeps.")
    ] = False,
    root: Root = THIS_MACHINE,
    lock_wait: LockWait = 0.0,
    dry_run: DryRun = False,
    yes: Yes = False,
    format_: Output = Format.TEXT,
) -> None:
    """Make this host as a host profile wants it, and keep what stood before.

    Refused before the first write where it would do harm; each reason has
    a code. Whatever does not read back as written is all taken back.
    Killed anywhere, the next apply goes on and a revert still finds what
    stood before.

    \b
    Examples:
      hftctl tune apply
      hftctl tune apply latency --isolate 2-7 --force sibling-split --yes
    """
    from hftctl.cli.confirm import confirmed
    from hftctl.cli.progress import reporting
    from hftctl.cli.tune_document import finish
    from hftctl.cli.tune_view import show_plan
    from hftctl.operations.tune_apply import apply as run
    from hftctl.operations.tune_plan import Asked, TunePlan
    from hftctl.operations.tune_start import start

    def ask(made: TunePlan) -> bool:
        from hftctl.cli import output

        if not yes:
            show_plan(made, output.say)
        return confirmed(f"tune {made.facts.host_name} for {made.asked.profile}", yes=yes)

    asked = Asked(host_profile, isolate, tuple(only or ()), tuple(force or ()), tuple(bind or ()))
    with reporting() as progress:
        if boot and not dry_run:
            result = start(root, asked, progress=progress, lock_wait_s=lock_wait)
        else:
            result = run(
                root, asked, confirm=ask, progress=progress, lock_wait_s=lock_wait, dry_run=dry_run, boot=boot
            )  # fmt: skip
    finish(result, as_json=format_ is Format.JSON)
