"""hftctl rollout: how the last one stands, and what to do with one that was interrupted."""

from __future__ import annotations

import typer

from hftctl.cli import output
from hftctl.cli.changing import show
from hftctl.cli.confirm import asker, command_with
from hftctl.cli.options import Bake, Canary, Deployment, DryRun, Format, LockWait, Output, Timeout, Wait, Yes
from hftctl.cli.rollout_view import changes, rollout_body

app = typer.Typer(no_args_is_help=True, help="The last rollout: how it stands, going on, going back.")


@app.command()
def status(name: Deployment = None, format_: Output = Format.TEXT) -> None:
    """Show how the last rollout stands, and who works on it.

    Exit code 9 when it was interrupted, is paused or failed.

    \b
    Examples:
      hftctl rollout status
      hftctl rollout status -p local -o json
    """
    from hftctl.operations.interrupted import rollout_status

    report = rollout_status(name)
    if format_ is Format.JSON:
        output.document("RolloutStatus", rollout_body(report))
    else:
        output.hanging(output.paint(f"{report.state}:", output.STYLES.get(report.state, "33")), report.message, gap=" ")
        if report.holder:
            output.put(f"  lock held by {report.holder}")
        rows = [[one["subject"], one["op"], one["state"], one["cause"]] for one in changes(report.rollout)]
        if rows:
            output.columns(["SUBJECT", "CHANGE", "STATE", "CAUSE"], rows, painted=2, cut=True)
    output.ended(report.error, as_json=format_ is Format.JSON)


@app.command("continue")
def go_on(
    name: Deployment = None,
    wait: Wait = True,
    canary: Canary = True,
    bake: Bake = True,
    timeout: Timeout = None,
    lock_wait: LockWait = 0.0,
    dry_run: DryRun = False,
    yes: Yes = False,
    format_: Output = Format.TEXT,
) -> None:
    """End what an interrupted, paused or failed rollout began, as it was asked for.

    \b
    Examples:
      hftctl rollout continue
      hftctl rollout continue -p compose --no-canary --yes
    """
    from hftctl.cli.progress import reporting
    from hftctl.cli.running import show as show_down
    from hftctl.operations.interrupted import go_on as run
    from hftctl.operations.running import StopResult

    with reporting() as progress:
        result = run(
            name, confirm=asker(yes), progress=progress, timeout_s=timeout, dry_run=dry_run, wait=wait,
            lock_wait_s=lock_wait, canary=canary, bake=bake, again=command_with(),
        )  # fmt: skip
    if isinstance(result, StopResult):
        show_down(result, format_, "see what stands: hftctl status")
    else:
        show(result, format_)


@app.command()
def abort(
    name: Deployment = None,
    wait: Wait = True,
    timeout: Timeout = None,
    lock_wait: LockWait = 0.0,
    dry_run: DryRun = False,
    yes: Yes = False,
    format_: Output = Format.TEXT,
) -> None:
    """Go back to what stood before an interrupted, paused or failed rollout.

    \b
    Examples:
      hftctl rollout abort
      hftctl rollout abort -p local --yes
    """
    from hftctl.cli.progress import reporting
    from hftctl.operations.interrupted import abort as run

    with reporting() as progress:
        result = run(
            name, confirm=asker(yes), progress=progress, timeout_s=timeout, dry_run=dry_run, wait=wait,
            lock_wait_s=lock_wait, again=command_with(),
        )  # fmt: skip
    show(result, format_)
