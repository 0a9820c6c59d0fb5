"""A door before PostgreSQL that forwards a COMMIT and loses its answer, once: the point where nobody knows."""

import asyncio
import threading

import msgspec

from stack.settings import Postgres


class LosesTheAnswerOfACommit:
    def __init__(self, port: int) -> None:
        self.lost = 0
        self._behind = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "LosesTheAnswerOfACommit":
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, "127.0.0.1", 0))
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def in_front_of(self, postgres: Postgres) -> Postgres:
        return msgspec.structs.replace(postgres, port=self._server.sockets[0].getsockname()[1])

    def _run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _close(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", self._behind)
        losing = asyncio.Event()
        back = asyncio.ensure_future(self._back(behind_reader, writer, losing))
        try:
            while data := await reader.read(1 << 20):
                if b"COMMIT;" in data and not self.lost:
                    self.lost += 1
                    losing.set()
                behind_writer.write(data)
        except ConnectionError:
            pass  # the persister has gone
        finally:
            await asyncio.gather(back, return_exceptions=True)
            writer.close()
            behind_writer.close()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, losing: asyncio.Event) -> None:
        while data := await reader.read(1 << 20):
            if losing.is_set():  # the server has answered: it has committed
                writer.transport.abort()
                return
            writer.write(data)
        writer.close()
