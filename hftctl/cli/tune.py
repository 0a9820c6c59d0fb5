"""hftctl tune: one short file per command; this one only names them."""

from __future__ import annotations

import typer

from hftctl.cli import (
    tune_apply,
    tune_facts,
    tune_hosts,
    tune_plan,
    tune_pods,
    tune_probe,
    tune_rehearse,
    tune_revert,
    tune_verify,
)

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The host: what it is, and what it should be.")
app.command()(tune_facts.facts)
app.command()(tune_verify.show)
app.command()(tune_plan.plan)
app.command()(tune_apply.apply)
app.command()(tune_verify.verify)
app.command()(tune_revert.revert)
app.command()(tune_probe.probe)
app.command()(tune_rehearse.rehearse)
app.command()(tune_hosts.hosts)
app.command()(tune_pods.pods)
