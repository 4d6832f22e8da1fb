"""A TCP proxy that adds latency and nothing else: `python bench_proxy.py PORT UPSTREAM_PORT MILLISECONDS`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from servers import find_free_port, run_process, wait_for

_CHUNK = 1 << 18


async def _delay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Pass bytes on, each `seconds` after it came: chunks travel behind each other, so no bandwidth is lost."""
    clock = asyncio.get_running_loop().time
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while True:
            due, chunk = await under_way.get()
            await asyncio.sleep(max(0.0, due - clock()))
            if not chunk:
                return
            writer.write(chunk)
            await writer.drain()

    delivery = asyncio.create_task(deliver())
    chunk = b"-"
    while chunk:
        chunk = await reader.read(_CHUNK)
        under_way.put_nowait((clock() + seconds, chunk))
    await delivery


async def _serve(port: int, upstream: int, seconds: float) -> None:
    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", upstream, limit=_CHUNK)
            try:
                # Half of the latency on each way.
                there, back = _delay(reader, far_writer, seconds / 2), _delay(far_reader, writer, seconds / 2)
                await asyncio.wait(
                    [asyncio.create_task(there), asyncio.create_task(back)], return_when="FIRST_COMPLETED"
                )
            finally:
                far_writer.close()
                writer.close()

    server = await asyncio.start_server(pass_on, "127.0.0.1", port, limit=_CHUNK, backlog=512)
    async with server:
        await server.serve_forever()


@contextmanager
def run_proxy(upstream: int, milliseconds: float, log: Path) -> Iterator[int]:
    """Run the proxy in a process of its own; its port."""
    port = find_free_port()
    command = [sys.executable, __file__, str(port), str(upstream), str(milliseconds)]
    path = str(Path(__file__).parents[1])
    with run_process(command, log, PYTHONPATH=path):
        wait_for(lambda: _listens(port), 10, "the delaying proxy", log)
        yield port


def _listens(port: int) -> bool:
    import socket

    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 1000))
