"""For programs that trade: a session at an engine's binary door.

from stack.client import Batch, Session, Side

with Session("127.0.0.1", 50052, key=KEY) as session:
    apple = session.tables.symbols["AAPL"]
    batch = Batch()
    batch.limit(b"my-1", apple.id, Side.BUY, apple.tick.steps("190.25", 1 << 40), 10)
    answer = session.ask(batch)
    for reply in answer.replies():
        print(reply.outcome.name, session.order(reply))
"""

from engine.records import OrderType, Side, TimeInForce
from stack.client.batch import Batch
from stack.client.session import Answered, Session, SessionEnded, SessionLost, SessionRefused

__all__ = [
    "Answered",
    "Batch",
    "OrderType",
    "Session",
    "SessionEnded",
    "SessionLost",
    "SessionRefused",
    "Side",
    "TimeInForce",
]
