from engine.matching import Engine
from stack.matcher.event_writer_cython import Writer

IMPLEMENTATION: str

def apply_groups(
    book: Engine, writer: Writer, records: bytes | bytearray | memoryview, start: int, events_hash: int
) -> tuple[int, int, int]: ...
