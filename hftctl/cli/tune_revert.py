"""hftctl tune revert: back to what stood before hftctl."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hftctl.cli.options import DryRun, Format, LockWait, Output, Yes
from hftctl.cli.tune_options import THIS_MACHINE, Force, Root

if TYPE_CHECKING:
    from hftctl.tuning.taking_back import TakingBack


def revert(
    force: Force = None,
    root: Root = THIS_MACHINE,
    lock_wait: LockWait = 0.0,
    dry_run: DryRun = False,
    yes: Yes = False,
    format_: Output = Format.TEXT,
) -> None:
    """Put back what stood on this host before hftctl, byte for byte.

    What somebody else changed since is told and left, unless
    --force=foreign-edit; then the exit code is 4.

    \b
    Examples:
      hftctl tune revert
      hftctl tune revert --dry-run -o json
    """
    from hftctl.cli.confirm import confirmed
    from hftctl.cli.progress import reporting
    from hftctl.cli.tune_document import finish
    from hftctl.cli.tune_view import show_back
    from hftctl.operations.tune_revert import revert as run

    def ask(name: str, back: TakingBack) -> bool:
        if not yes:
            show_back(back)
        return confirmed(f"revert {name}", yes=yes)

    with reporting() as progress:
        result = run(
            root, confirm=ask, forced=tuple(force or ()), progress=progress, lock_wait_s=lock_wait, dry_run=dry_run
        )  # fmt: skip
    finish(result, as_json=format_ is Format.JSON)
