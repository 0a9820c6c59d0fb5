"""hftctl that kills itself with SIGKILL at a write to the rollout journal: `python -m tests.faults.killed POINT WORDS...`.

A point is `<before|after>:<nth write>`; `list` runs to the end and writes the points it passed to stderr. Nothing else differs
from the program that users run, and the kill is a real one: no handler, no `finally`, no flush.
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
from hftctl.targets.local import history

SEEN = "point "


def main() -> int:
    wanted = sys.argv[1]
    count = itertools.count()

    def around(name: str, write: Callable[..., Any]) -> Callable[..., Any]:
        def killing(*words: Any) -> Any:
            number = next(count)
            entry = words[1]["entry"] if name == "journal" else name
            for when, act in (("before", None), ("after", write)):
                if act is not None:
                    act(*words)
                if wanted == "list":
                    print(f"{SEEN}{when}:{number} {entry}", file=sys.stderr)
                elif wanted == f"{when}:{number}":
                    os.kill(os.getpid(), signal.SIGKILL)

        return killing

    RolloutJournal._append = around("journal", RolloutJournal._append)  # type: ignore[method-assign]
    history.record = around("record", history.record)
    return run(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
