NAMES: tuple[str, ...]
BOUNDS_NS: tuple[int, ...]

class Stages:
    def read(self) -> dict[str, tuple[int, list[int]]]: ...
