"""Chains of orders from an engine's event log, which has them all, live and closed, and as new as can be.

An engine answers questions on the loop that takes orders. So chains come in pieces: many short ones in one answer, a long
one in many. An order that changes meanwhile is shown as it stood when its chain was first asked for.
"""

from __future__ import annotations

import asyncio

from engine.records import EVENT_BYTES, Event, unpack_events
from stack.gateway.partition import Partition

ASKED_MAX = 256  # chains in one question
PIECE_EVENTS = 512  # of one long chain


async def read_chain(partition: Partition, sequence: int) -> list[Event]:
    """Oldest first; empty when the engine knows no such order. Raises ApiError."""
    pieces: list[bytes] = []
    end = 0
    while True:
        answer = await partition.query("order", order=sequence, end=end, limit=PIECE_EVENTS)
        pieces.append(answer.data)
        end = answer.document["rest"]
        if not end:
            pieces.reverse()
            return unpack_events(b"".join(pieces))


async def read_chains(partition: Partition, sequences: list[int]) -> dict[int, list[Event]]:
    """By sequence, in the order asked for, without those that the engine does not know. Raises ApiError."""
    pieces = await asyncio.gather(
        *(_some(partition, sequences[start : start + ASKED_MAX]) for start in range(0, len(sequences), ASKED_MAX))
    )
    return {sequence: chain for piece in pieces for sequence, chain in piece.items()}


async def _some(partition: Partition, sequences: list[int]) -> dict[int, list[Event]]:
    found: dict[int, list[Event]] = {}
    while sequences:
        answer = await partition.query("chains", orders=sequences)
        counts, start = answer.document["orders"], 0
        for sequence, count in counts:
            end = start + count * EVENT_BYTES
            if count:
                found[sequence] = unpack_events(answer.data[start:end])
            start = end
        sequences = sequences[len(counts) :]
        if not counts:
            found[sequences[0]] = await read_chain(partition, sequences[0])
            sequences = sequences[1:]
    return found
