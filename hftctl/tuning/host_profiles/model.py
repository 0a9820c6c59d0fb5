"""What a host profile says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hftctl.tuning.layout import Share


@dataclass(frozen=True)
class Choice:
    knob: str
    value: Any
    why: str


@dataclass(frozen=True)
class HostProfile:
    name: str
    who: str  # for whom it is
    gives_up: str
    isolates: Share
    choices: tuple[Choice, ...]

    @property
    def one_thread(self) -> bool:
        """Whether the second threads of cores go away."""
        return any(choice.knob == "smt" and choice.value == "off" for choice in self.choices)
