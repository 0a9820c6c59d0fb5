from typing import TypedDict

COUNTER_NAME: str  # "" where this processor has none that we read
LAYOUT: tuple[int, int, int]  # bits of a sub-bucket, longest value in ns, number of places
THRESHOLD_LEAST_NS: int

class Spun(TypedDict):
    steps: bytes
    elapsed_ns: int
    threshold_ns: int
    gaps: int
    gaps_ns: int
    longest_ns: int
    worst: list[tuple[int, int]]
    voluntary: int
    involuntary: int
    faults: int

class Meeting:
    """Where the threads of one measurement wait for each other; `arrived` counts those that run warm."""

    @property
    def arrived(self) -> int: ...
    def begin(self) -> None: ...
    def stop(self) -> None: ...

def stamp(by_counter: bool) -> tuple[int, int]: ...
def place_of(value_ns: int) -> int: ...
def lock_memory() -> int: ...
def unlock_memory() -> None: ...
def spin(meeting: Meeting, duration_ns: int, scale: int, threshold_ns: int, by_counter: bool) -> Spun: ...
