import pytest

from stack.gateway.partitions import MapError, PartitionMap
from stack.settings import PartitionSettings


def settings(number: int, symbols: tuple[str, ...] = (), ranges: tuple[str, ...] = ()) -> PartitionSettings:
    return PartitionSettings(partition=number, link_socket=f"e{number}", symbols=list(symbols), ranges=list(ranges))


MAP = PartitionMap([settings(0, (), ("0-9", "A-G")), settings(1, ("AAPL",), ("H-O",)), settings(2, (), ("P-Z",))])


@pytest.mark.parametrize(
    ("symbol", "owner"),
    [
        ("BTCUSD", 0), ("1INCH", 0), ("MSFT", 1), ("XRPUSD", 2), ("AAPL", 1), ("AAPL2", 0),
        ("PROOF.0", 0), ("PROOF.1", 1), ("PROOF.2", 2), ("PROOF.3", None), ("PROOF.01", None), ("PROOF.", None),
        ("PROOF", 2), (".X", None), ("", None),
    ],
)  # fmt: skip
def test_who_owns_a_symbol(symbol: str, owner: int | None) -> None:
    assert MAP.owner(symbol) == owner


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([settings(0, ("A",)), settings(1, ("A",))], "both own A"),
        ([settings(0, (), ("A-C",)), settings(1, (), ("C-D",))], "both own C"),
        ([settings(0), settings(0)], "twice"),
        ([settings(0, (), ("Z-A",))], "no range"),
        ([settings(0, (), ("AB",))], "no range"),
    ],
)
def test_a_map_that_contradicts_itself_is_refused(entries: list[PartitionSettings], message: str) -> None:
    with pytest.raises(MapError, match=message):
        PartitionMap(entries)
