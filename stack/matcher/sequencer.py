"""Who gives commands their place: the compiled sequencer where it is built, else the plain one, which is its specification."""

from __future__ import annotations

try:
    from stack.matcher.sequencer_cython import IMPLEMENTATION, Group, Sequencer
except ImportError:
    from stack.matcher.sequencer_python import IMPLEMENTATION, Group, Sequencer  # type: ignore[assignment]

__all__ = ["IMPLEMENTATION", "Group", "Sequencer"]
