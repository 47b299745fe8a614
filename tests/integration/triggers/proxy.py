"""A pooler as far as listening is concerned: statements pass, notifications may not."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from psycopg.conninfo import conninfo_to_dict, make_conninfo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_NOTIFICATION = b"A"


@asynccontextmanager
async def proxied(dsn: str, folder: Path, *, deaf: bool) -> AsyncIterator[str]:
    """Serve a Unix socket that leads to a server; yields the DSN through it.

    :param deaf: swallow what LISTEN would bring.
    """
    host = str(conninfo_to_dict(dsn)["host"])

    handlers: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.current_task())
        there, back = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.5432")
        ways = {
            asyncio.create_task(_bytes(reader, back)),
            asyncio.create_task(_messages(there, writer, deaf=deaf)),
        }
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, back):
            end.close()
        await asyncio.gather(*ways, *(end.wait_closed() for end in (writer, back)), return_exceptions=True)

    async with await asyncio.start_unix_server(serve, folder / ".s.PGSQL.5432"):
        yield make_conninfo(dsn, host=str(folder))
    await asyncio.gather(*(task for task in handlers if task))


async def _bytes(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while chunk := await source.read(65536):
        target.write(chunk)
        await target.drain()


async def _messages(source: asyncio.StreamReader, target: asyncio.StreamWriter, *, deaf: bool) -> None:
    while True:
        try:
            head = await source.readexactly(5)
            body = await source.readexactly(int.from_bytes(head[1:], "big") - 4)
        except asyncio.IncompleteReadError:
            return
        if not (deaf and head[:1] == _NOTIFICATION):
            target.write(head + body)
            await target.drain()
