"""A rehearsal of a host's command line, as a plan makes it or as it is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hftctl.errors import HftctlError, NotFound, UsageError
from hftctl.operations.host import open_host
from hftctl.operations.tune_plan import Asked, plan
from hftctl.tuning.boot import command_line as lines
from hftctl.tuning.facts.gather import gather
from hftctl.tuning.facts.model import Facts
from hftctl.tuning.rehearse import shape as shapes
from hftctl.tuning.rehearse import words as wording
from hftctl.tuning.rehearse.kernel_image import KernelImage, config, find
from hftctl.tuning.rehearse.rehearsal import Rehearsal
from hftctl.tuning.rehearse.rehearsal import rehearse as run
from hftctl.tuning.rehearse.shape import Node, Shape


@dataclass(frozen=True)
class Elsewhere:
    """A host that is not this one, by its size; None: as this one."""

    cpus: int | None = None
    nodes: int | None = None
    memory_bytes: int | None = None

    @property
    def given(self) -> bool:
        return (self.cpus, self.nodes, self.memory_bytes) != (None, None, None)


def rehearse(
    root: Path,
    asked: Asked,
    *,
    command_line: str | None,
    elsewhere: Elsewhere,
    kernel: Path | None,
    accelerator: str,
    timeout_s: float,
) -> Rehearsal:
    """Without a command line, the one that the next boot would have after an apply of what is asked for.

    A kernel that is named must be one; without a name the host's own is taken, and where that cannot be read only the
    rules speak."""
    if command_line is None and elsewhere.given:
        raise UsageError("a plan is made for a host, not for its size alone", hint='add --cmdline "..."')
    if command_line is None:
        made = plan(root, asked)
        facts, wanted = made.facts, [one.text for one in made.wanted.arguments]
        command_line = " ".join([facts.kernel.command_line, *lines.missing(facts.kernel.command_line, wanted)])
    else:
        facts = gather(open_host(root))
    image: KernelImage | HftctlError
    try:
        image = find(kernel, facts.kernel.release, root)
    except NotFound as error:
        if kernel is not None:
            raise
        image = error
    release, beside = (
        (image.release, image.path.parent) if isinstance(image, KernelImage) else (facts.kernel.release, root / "boot")
    )
    return run(
        wording.parse(command_line),
        _host(facts, elsewhere),
        image,
        config=config(release, beside, root),
        accelerator=accelerator,
        timeout_s=timeout_s,
    )


def _host(facts: Facts, elsewhere: Elsewhere) -> Shape:
    nodes = tuple(Node(node.cpus, node.memory_bytes) for node in facts.nodes if node.cpus)
    if not elsewhere.given and nodes and all(node.memory_bytes for node in nodes):
        return Shape(nodes)
    return shapes.even(
        elsewhere.cpus or len(facts.cpus) or 1,
        elsewhere.nodes or (1 if elsewhere.cpus else len(nodes) or 1),
        elsewhere.memory_bytes or facts.memory_bytes,
    )
