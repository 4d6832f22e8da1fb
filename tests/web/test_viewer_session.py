"""The threads of the viewer: how many requests may wait, and that none works for nobody; and its memory."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dsp_batch.errors import PixelError
from dsp_batch.web.viewer.options import ViewOptions
from dsp_batch.web.viewer.pixels.memory import FrameMemory
from dsp_batch.web.viewer.server.answers import ApiAnswer, ApiError
from dsp_batch.web.viewer.server.safety import Guard
from dsp_batch.web.viewer.server.session import MOST_WAITING, ViewSession

SECONDS = 20.0


def test_requests_beyond_those_that_may_wait_are_told_to_come_again() -> None:
    session = ViewSession([], ViewOptions(), Guard(host="127.0.0.1"), {})
    release = threading.Event()

    def work() -> ApiAnswer:
        assert release.wait(SECONDS)
        return ApiAnswer(body=b"")

    async def ask() -> list[object]:
        waiting = [asyncio.create_task(session.run(work, lambda: False)) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(ApiError) as refused:
            await session.run(work, lambda: False)
        assert (refused.value.status, refused.value.code) == (503, "decode_busy")
        release.set()
        return list(await asyncio.gather(*waiting))

    answers = asyncio.run(asyncio.wait_for(ask(), SECONDS))
    session.stop()
    assert len(answers) == MOST_WAITING
    assert all(isinstance(each, ApiAnswer) for each in answers)


def test_nothing_is_done_for_a_connection_that_is_closed() -> None:
    session = ViewSession([], ViewOptions(), Guard(host="127.0.0.1"), {})
    done: list[int] = []

    def work() -> ApiAnswer:
        done.append(1)
        return ApiAnswer(body=b"")

    assert asyncio.run(asyncio.wait_for(session.run(work, lambda: True), SECONDS)) is None
    session.stop()
    assert done == []


def test_memory_drops_what_was_not_used_for_longest() -> None:
    memory = FrameMemory(10_000)
    for name in ("a", "b", "c"):
        memory.keep(name, name, 2_500)
    assert memory.find("a", str) == "a"
    memory.keep("d", "d", 2_500)
    assert [memory.find(name, str) for name in ("a", "b", "c", "d")] == ["a", None, "c", "d"]
    memory.keep("e", "e", 6_000)
    assert memory.find("e", str) is None
    assert memory.used <= memory.budget


def test_memory_makes_room_and_waits_for_it() -> None:
    memory = FrameMemory(10_000)
    memory.keep("a", "a", 4_000)
    begun = threading.Event()

    def reserve() -> float:
        begun.set()
        with memory.reserve(8_000):
            return time.monotonic()

    with ThreadPoolExecutor(1) as pool, memory.reserve(7_000):
        assert memory.find("a", str) is None
        later = pool.submit(reserve)
        assert begun.wait(SECONDS)
        time.sleep(0.05)
        assert not later.done()
        released = time.monotonic()
    assert later.result(SECONDS) >= released
    with pytest.raises(PixelError, match="raise --cache-budget"), memory.reserve(10_001):
        pass


def test_what_headers_tell_does_not_wait_for_pixels() -> None:
    session = ViewSession([], ViewOptions(), Guard(host="127.0.0.1"), {})
    release = threading.Event()

    def decode() -> ApiAnswer:
        assert release.wait(SECONDS)
        return ApiAnswer(body=b"pixels")

    async def ask() -> ApiAnswer | None:
        decoding = [asyncio.create_task(session.run(decode, lambda: False)) for _ in range(8)]
        await asyncio.sleep(0)
        told = await session.run(lambda: ApiAnswer(body=b"header"), lambda: False, decodes=False)
        assert not any(each.done() for each in decoding)
        release.set()
        await asyncio.gather(*decoding)
        return told

    told = asyncio.run(asyncio.wait_for(ask(), SECONDS))
    session.stop()
    assert told is not None
    assert told.body == b"header"
