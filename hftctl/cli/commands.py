"""Every command, in the order that help shows them."""

from __future__ import annotations

import typer

from hftctl.cli import (
    backup,
    bench,
    beside,
    book,
    build,
    changing,
    deploy,
    diff,
    doctor,
    drain,
    drift,
    events,
    forward,
    halting,
    logs,
    order,
    plan,
    profile,
    rendering,
    rollout,
    running,
    scale,
    status,
    traffic,
    tune,
)


def register(app: typer.Typer) -> None:
    app.command()(doctor.doctor)
    app.command()(build.build)
    app.add_typer(profile.app, name="profile")
    app.command()(plan.plan)
    app.command()(plan.apply)
    app.command()(rendering.render)
    app.command()(diff.diff)
    app.command()(drift.drift)
    app.command()(deploy.deploy)
    app.command()(scale.scale)
    app.command()(changing.restart)
    app.command()(changing.rollback)
    app.add_typer(rollout.app, name="rollout")
    app.command()(status.status)
    app.command()(logs.logs)
    app.command()(events.events)
    app.command("exec")(beside.exec_)
    app.command()(forward.forward)
    app.add_typer(order.app, name="order")
    app.command()(book.book)
    app.command()(traffic.load)
    app.command()(traffic.replay)
    app.command()(running.stop)
    app.command()(running.start)
    app.command()(halting.halt)
    app.command()(halting.resume)
    app.command()(drain.drain)
    app.add_typer(backup.app, name="backup")
    app.command()(status.history)
    app.add_typer(tune.app, name="tune")
    app.add_typer(bench.app, name="bench")
    app.command()(running.destroy)
