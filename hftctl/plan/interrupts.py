"""Ctrl-C once is a request to stop at a safe point; twice leaves at once."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NAP_S = 0.1  # so soon a signal is heard


class Interrupts:
    """A context in which the first signal is only noted in `received`, for the code inside to look at.

    Outside the main thread, where Python handles no signals, it does nothing. A signal that was ignored before (nohup)
    stays ignored.
    """

    def __init__(self) -> None:
        self.received = ""  # SIGINT
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def nap(self, seconds: float) -> bool:
        """Whether nobody asked to stop meanwhile."""
        until = time.monotonic() + seconds
        while not self.received and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, NAP_S))
        return not self.received

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.received:
            raise KeyboardInterrupt
        self.received = signal.Signals(number).name
