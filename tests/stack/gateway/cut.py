"""A link that can be cut: a Unix socket before the engine's, which passes a command on and then loses both ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from stack.wire.frames import FrameReader, FrameType


class CutLink:
    """`with CutLink(here, engine) as link`; after `cut_after_next_command()` it answers nobody until `heal()`."""

    def __init__(self, socket: Path, engine: Path) -> None:
        self.cuts = 0
        self._socket, self._engine = str(socket), str(engine)
        self._armed = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> CutLink:
        self._thread.start()
        self.heal()
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._cut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut_after_next_command(self) -> None:
        self._armed = True

    def heal(self) -> None:
        self._armed = False
        self._run(self._listen())

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        Path(self._socket).unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._socket)

    async def _cut(self) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_unix_connection(self._engine)
        self._writers |= {writer, behind_writer}
        back = asyncio.ensure_future(self._back(behind_reader, writer))
        frames = FrameReader()
        try:
            while data := await reader.read(1 << 20):
                submitted = any(type_ == FrameType.SUBMIT for type_, *_ in frames.feed(data))
                cut = self._armed and submitted
                if cut:
                    back.cancel()  # no answer comes through any more
                    await asyncio.gather(back, return_exceptions=True)
                behind_writer.write(data)
                await behind_writer.drain()
                if cut:
                    behind_writer.write_eof()
                    await behind_reader.read()  # the engine has read the command: it closes when it is done
                    self.cuts += 1
                    await self._cut()
        except ConnectionError:
            pass  # one end is gone
        finally:
            back.cancel()
            for each in (writer, behind_writer):
                self._writers.discard(each)
                each.close()

    @staticmethod
    async def _back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 20):
            writer.write(data)
        writer.close()
