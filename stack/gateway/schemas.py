"""What the routes answer with, for /openapi.json. Answers are not built through these models; a test compares the two."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Decimal = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?$", description="decimal number")]
Nanoseconds = Annotated[int, Field(ge=0, description="nanoseconds since 1970-01-01 UTC")]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Fill(_Answer):
    trade_id: str
    price: Decimal
    quantity: Decimal
    liquidity: Literal["maker", "taker"]


class Order(_Answer):
    order_id: str
    client_order_id: str
    account: str
    symbol: str
    side: Literal["buy", "sell"]
    type: Literal["limit", "market"]
    time_in_force: Literal["GTC", "IOC", "FOK", "DAY", "GTT"]
    post_only: bool
    self_trade: Literal["cancel_newest", "cancel_oldest", "cancel_both"] | None
    expires_ns: Nanoseconds | None
    price: Decimal | None
    quantity: Decimal
    filled_quantity: Decimal
    leaves_quantity: Decimal
    average_price: Decimal | None
    status: Literal["open", "partially_filled", "filled", "cancelled", "expired", "rejected"]
    reason: str | None
    sequence: int
    created_ns: Nanoseconds
    updated_ns: Nanoseconds
    fills: list[Fill]


class Orders(_Answer):
    orders: list[Order]
    cursor: str | None = Field(description="give it back as `cursor` for the next page; null on the last one")


class Error(BaseModel):
    """Every error; some have members besides, as `outcome` and `client_order_id` of 504."""

    model_config = ConfigDict(extra="allow")
    code: str
    message: str
    field: str | None


class BatchAnswer(_Answer):
    """`order` where status is 200 or 201, else `error`."""

    status: int
    order: Order | None = None
    error: Error | None = None


class MassCancel(_Answer):
    account: str
    cancelled: int = Field(description="how many orders this request cancelled")
    repeated: bool = Field(description="sent again after an engine was lost; `cancelled` counts the last time only")


class Instrument(_Answer):
    symbol: str
    tick_size: Decimal
    lot_size: Decimal
    currency: str
    state: Literal["open", "halted"]
    partition: int


class Instruments(_Answer):
    instruments: list[Instrument]


class Level(_Answer):
    price: Decimal
    quantity: Decimal
    orders: int


class Book(_Answer):
    symbol: str
    sequence: int
    bids: list[Level]
    asks: list[Level]


class DebugBook(Book):
    orders: list[Order]
    cursor: str | None


class Trade(_Answer):
    trade_id: str
    price: Decimal
    quantity: Decimal
    side: Literal["buy", "sell"] = Field(description="of the order that came to the book")
    time_ns: Nanoseconds
    sequence: int


class Trades(_Answer):
    symbol: str
    trades: list[Trade]


class PartitionState(_Answer):
    partition: int
    halted: bool
    sequence: int | None = None
    error: Error | None = None


class Halt(_Answer):
    halted: bool
    partitions: list[PartitionState]


class ComponentState(_Answer):
    component: str
    state: Literal["up", "down", "unseen"]
    message: str


class Health(_Answer):
    status: Literal["ready", "degraded"]
    halted: bool
    components: list[ComponentState]


class Alive(_Answer):
    status: Literal["alive"]


class PartitionVersion(_Answer):
    partition: int
    implementation: str | None
    rules_version: int | None
    epoch: int | None


class Version(_Answer):
    release: str | None
    deployment: str
    component: str
    partition_map: int
    protocol: int
    python: str
    partitions: list[PartitionVersion]
