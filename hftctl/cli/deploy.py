"""hftctl deploy: from a profile to a stack that stands and has proved itself."""

from __future__ import annotations

from hftctl.cli import output
from hftctl.cli.confirm import asker, command_with
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


def deploy(
    profile: Profile = "local",
    environment: Environment = None,
    name: Name = None,
    tag: Tag = None,
    wait: Wait = True,
    canary: Canary = True,
    bake: Bake = True,
    timeout: Timeout = None,
    lock_wait: LockWait = 0.0,
    dry_run: DryRun = False,
    yes: Yes = False,
    format_: Output = Format.TEXT,
) -> None:
    """Bring a profile up, wait until it is ready and prove it by an order.

    What fails is taken back, and the exit code says so. Doing it again changes
    only what differs. A canary that too few requests came to pauses the
    rollout (exit code 8).

    \b
    Examples:
      hftctl deploy
      hftctl deploy local --environment staging --name rehearsal --yes
    """
    from hftctl.cli.next_steps import deployed
    from hftctl.cli.progress import reporting
    from hftctl.cli.render import finish
    from hftctl.operations.deploy import deploy as run
    from hftctl.profile.load import load

    resolved = load(profile, environment=environment)
    with reporting() as progress:
        result = run(
            resolved.values,
            confirm=asker(yes),
            progress=progress,
            timeout_s=timeout,
            dry_run=dry_run,
            wait=wait,
            canary=canary,
            bake=bake,
            name=name,
            tag=tag,
            lock_wait_s=lock_wait,
            again=command_with(),
        )
    finish(result, as_json=format_ is Format.JSON, text=lambda ended: deployed(ended, resolved.values, output.put))
