"""What the components say: one stream, without secrets, kept in a file on request."""

from __future__ import annotations

import io
import os
import re
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from hftctl.errors import NotFound, Refused
from hftctl.operations.standing import open_standing, open_target
from hftctl.operations.terms import TargetFactory
from hftctl.run import redacted
from hftctl.targets.base import LogLine

OPERATORS = "hftctl"  # the log of what people did
COMPRESSED = ".zst"


def logs(
    name: str | None,
    components: Sequence[str] = (),
    *,
    since_s: float | None = None,
    follow: bool = False,
    grep: re.Pattern[str] | None = None,
    tail: int | None = None,
    targets: TargetFactory = open_target,
) -> Iterator[LogLine]:
    """Every component, or those named (`gateway` means all gateways), one stream.

    `tail`: only so many of those that are there, the newest. What comes while one follows is not counted.
    """
    target = open_standing(name, targets=targets)
    there = [*(component.component for component in target.status()), OPERATORS]
    wanted = [name for name in there if not components or name in components or name.rpartition("-")[0] in components]
    unknown = [
        given for given in components if given not in there and not any(given == n.rpartition("-")[0] for n in there)
    ]
    if unknown:
        raise NotFound(
            f"'{target.deployment}' has no component {', '.join(unknown)}; there are: {', '.join(there)}",
            hint=f"hftctl logs -p {target.deployment}",
        )
    secrets = target.secrets()

    def shown(lines: Iterator[LogLine]) -> Iterator[LogLine]:
        for line in lines:
            text = redacted(line.text, secrets)
            if grep is None or grep.search(text):
                yield LogLine(line.component, line.time_ns, text)

    def newest(lines: Iterator[LogLine]) -> Iterator[LogLine]:
        return iter(deque(shown(lines), maxlen=tail))

    past = newest if tail is not None else shown
    return shown(target.logs(wanted if components else (), since_s=since_s, follow=follow, past=past))


def export(lines: Iterator[LogLine], file: Path) -> int:
    """Whole or not at all, never over a file that is there; compressed when its name ends with .zst. Returns how many."""
    count = 0
    try:
        handle, part = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        try:
            with os.fdopen(handle, "wb") as raw, _text_to(raw, compressed=file.suffix == COMPRESSED) as stream:
                for line in lines:
                    stream.write(f"{line.time_ns} {line.component} {line.text}\n")
                    count += 1
                stream.flush()
            os.link(part, file)  # unlike a rename it fails where a file is
        finally:
            Path(part).unlink()
    except FileExistsError:
        raise Refused(f"{file} is already there", hint="choose another file") from None
    except OSError as error:
        raise Refused(f"cannot write {file}: {error.strerror}", hint="choose another file") from error
    return count


def _text_to(raw: io.BufferedWriter, *, compressed: bool) -> io.TextIOWrapper:
    if not compressed:
        return io.TextIOWrapper(raw, encoding="utf-8", errors="replace")
    import zstandard

    writer = zstandard.ZstdCompressor(level=6).stream_writer(raw, closefd=False)
    return io.TextIOWrapper(writer, encoding="utf-8", errors="replace")
