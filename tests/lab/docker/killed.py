"""hftctl that ends itself at a write to the journal of rollouts, or to the records: `python -m tests.lab.docker.killed POINT WORDS...`.

A point is `<before|after>:<nth write>`, where SIGKILL meets it, or `frozen:<nth write>`: SIGSTOP after it. `list` runs to the end and
writes the points it passed to stderr. Nothing else differs from the program that users run.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from hftctl.cli.main import run
from hftctl.plan.journal import RolloutJournal
from hftctl.targets.compose.driver import ComposeTarget

SEEN = "point "


def main() -> int:
    wanted = sys.argv[1]
    count = itertools.count()

    def around(name: str, write: Callable[..., Any]) -> Callable[..., Any]:
        def ending(*words: Any) -> None:
            number = next(count)
            entry = words[1]["entry"] if name == "journal" else name
            for when in ("before", "after"):
                if when == "after":
                    write(*words)
                if wanted == "list":
                    print(f"{SEEN}{when}:{number} {entry}", file=sys.stderr)
                elif wanted == f"{when}:{number}":
                    os.kill(os.getpid(), signal.SIGKILL)
            if wanted == f"frozen:{number}":
                os.kill(os.getpid(), signal.SIGSTOP)

        return ending

    RolloutJournal._append = around("journal", RolloutJournal._append)  # type: ignore[method-assign]
    ComposeTarget.record = around("record", ComposeTarget.record)  # type: ignore[method-assign]
    return run(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
