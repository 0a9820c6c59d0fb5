"""The admin socket: halt, resume, status, state, snapshot and mass cancel, with nothing between an operator and the engine.

One JSON object a line: {"command": "halt", "why": "..."} is answered by {"ok": true, ...} or {"ok": false, "code", "message"}.
It needs no gateway, database, cache or nginx, and a halt is taken even while the queue for the disk is full: no order is
accepted from the moment the line is read, and the answer says that the halt is durable. A snapshot is only begun by its
command; `status` says when it is there.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated, Any, Literal

import msgspec

from engine.records import TEXT_BYTES, Command, CommandKind, Event
from stack.matcher.partition import Partition
from stack.matcher.snapshots import Snapshots
from stack.matcher.status import status
from stack.wire.frames import Outcome

logger = logging.getLogger(__name__)

LINE_BYTES_MAX = 4096
_KINDS = {"halt": CommandKind.HALT, "resume": CommandKind.RESUME, "mass_cancel": CommandKind.MASS_CANCEL}


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    command: Literal["halt", "resume", "status", "state", "snapshot", "mass_cancel"]
    why: Annotated[str, msgspec.Meta(max_length=1000)] = ""


class _Once:
    """The reply to one command, as a future."""

    def __init__(self) -> None:
        self.future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    def reply(self, _token: int, outcome: int, events: bytes) -> None:
        if outcome == Outcome.STOPPED:
            self._set(_refusal("stopped", "the engine is stopping"))
            return
        if outcome == Outcome.FULL:
            self._set(
                _refusal("disk_full", "the journal's newest segment is full and the disk has no room for the next one")
            )
            return
        event = Event.unpack(events)
        self._set({"ok": True, "sequence": event.sequence, "orders": event.quantity})

    def lost(self, _token: int) -> None:
        self._set(
            _refusal("unknown", "the journal failed while the command was written; ask for the status after a restart")
        )

    def _set(self, answer: dict[str, Any]) -> None:
        if not self.future.done():
            self.future.set_result(answer)


class AdminServer:
    def __init__(self, partition: Partition, started_ns: int, snapshots: Snapshots) -> None:
        self._partition = partition
        self._started_ns = started_ns
        self._snapshots = snapshots

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                answer = await self._answer(line)
                writer.write(msgspec.json.encode(answer) + b"\n")
                await writer.drain()
        except ValueError:  # a line longer than the reader's limit
            writer.write(msgspec.json.encode(_refusal("bad_request", f"over {LINE_BYTES_MAX} bytes in a line")) + b"\n")
        except ConnectionError:
            logger.info("an admin client left before its answer")
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = msgspec.json.decode(line, type=Request)
        except msgspec.DecodeError as error:
            return _refusal("bad_request", str(error))
        if request.command == "status":
            return {"ok": True, **status(self._partition, self._started_ns)}
        once = _Once()
        if request.command in ("state", "snapshot"):
            engine = self._partition.engine
            state: dict[str, Any] = {"ok": True, "sequence": engine.sequence}
            if request.command == "state":
                state["state_hash"] = engine.state_hash()
            else:
                try:
                    self._snapshots.want()
                except ValueError as error:
                    return _refusal("no_snapshots", str(error))
            self._partition.when_durable(lambda: once._set(state), lambda: once.lost(0))
            return await once.future
        text = request.why.encode().decode("ascii", "replace").encode("ascii", "replace")[:TEXT_BYTES]
        logger.warning("%s from the admin socket", request.command, extra={"fields": {"why": request.why}})
        self._partition.submit(Command(_KINDS[request.command], text=text).pack(), once, 0)
        return await once.future


def _refusal(code: str, message: str) -> dict[str, Any]:
    return {"ok": False, "code": code, "message": message}
