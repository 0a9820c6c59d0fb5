"""hftctl tune plan: what would be done to this host."""

from __future__ import annotations

from hftctl.cli import output
from hftctl.cli.options import Format, Output
from hftctl.cli.tune_options import THIS_MACHINE, Bind, Force, HostProfile, Isolate, Only, Root


def plan(
    host_profile: HostProfile = "",
    isolate: Isolate = "",
    only: Only = None,
    bind: Bind = None,
    force: Force = None,
    root: Root = THIS_MACHINE,
    format_: Output = Format.TEXT,
) -> None:
    """Show what would be changed on this host, why, and what speaks against it.

    Writes nothing, needs no rights. Exit code 3 when changes are pending.

    \b
    Examples:
      hftctl tune plan
      hftctl tune plan latency-extreme --isolate 4-15 -o json
    """
    import typer

    from hftctl.cli.tune_document import document
    from hftctl.cli.tune_view import show_plan
    from hftctl.errors import ChangesPending
    from hftctl.operations.tune_plan import Asked
    from hftctl.operations.tune_plan import plan as compute

    made = compute(root, Asked(host_profile, isolate, tuple(only or ()), tuple(force or ()), tuple(bind or ())))
    if format_ is Format.JSON:
        output.document("TunePlan", document(made))
    else:
        show_plan(made, output.put)
    if made.plan.pending:
        raise typer.Exit(ChangesPending.exit_code)
