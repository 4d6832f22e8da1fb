"""Rows on their way into the cache, and a cache that is away meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pyarrow.parquet as pq
import pytest

from dsp_batch.batch.runs.result_parts import SECONDS_BETWEEN_LOOKS, ResultsWriter, list_parts, read_part
from dsp_batch.batch.runs.result_row import SeriesResult
from dsp_batch.cache import Cache, open_cache
from dsp_batch.errors import SinkError, StorageError

FOLDER = "runs/mosaic-mosaic-0123456789ab/results"


class Hours:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def wait(self, queue: SimpleQueue[Any], seconds: float) -> Any:
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsteadyCache(Cache):
    """A folder that does not answer while a file lies beside it."""

    sign: Path

    def read(self, key: str) -> bytes | None:
        if self.sign.exists():
            raise StorageError("cannot read the cache: timed out")
        return open_cache(self.url).read(key)


def test_a_cache_that_is_away_while_no_rows_come_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache, clock = UnsteadyCache(url=str(tmp_path / "cache"), sign=tmp_path / "away"), Hours()
    writer = ResultsWriter(cache=cache, folder=FOLDER, attempt=1, clock=clock)

    def pass_time() -> list[str]:
        for _ in range(3):
            clock.seconds += SECONDS_BETWEEN_LOOKS
            writer.add(())
        return caplog.messages

    assert pass_time() == []
    cache.sign.touch()
    assert pass_time() == (told := ["the cache does not answer, workers wait for it: cannot read the cache: timed out"])
    cache.sign.unlink()
    assert pass_time() == [*told, "the cache answers again"]


def test_a_part_without_rows_stands_for_results_that_have_none_yet(tmp_path: Path) -> None:
    cache = open_cache(str(tmp_path))
    for _ in range(2):
        ResultsWriter(cache=cache, folder=FOLDER, attempt=1, columns=("age",)).open()

    (key,) = list_parts(cache, FOLDER)
    assert pq.read_table(tmp_path / key).num_rows == 0
    writer = ResultsWriter(cache=cache, folder=FOLDER, attempt=1, columns=("age",))
    writer.add([SeriesResult(series_uuid="a", root="/r", status="done", manifest_columns={"age": 7})])
    writer.flush()
    assert pq.read_table(tmp_path / FOLDER).select(["series_uuid", "age"]).to_pylist() == [
        {"series_uuid": "a", "age": "7"}
    ]


def test_a_part_with_a_changed_byte_is_told_or_reads_as_before(tmp_path: Path) -> None:
    """In the footer as well, which says where the columns lie; of the checksum only the name may be damaged."""
    cache = open_cache(str(tmp_path))
    writer = ResultsWriter(cache=cache, folder=FOLDER, attempt=1)
    writer.add([SeriesResult(series_uuid=f"{number:032x}", root="/r", status="done") for number in range(50)])
    writer.flush()
    (key,) = list_parts(cache, FOLDER)
    whole, before = cache.read(key), read_part(cache, key)
    assert whole is not None
    told = 0
    places = range(0, len(whole), len(whole) // 600)

    for at in places:
        (tmp_path / key).write_bytes(whole[:at] + bytes([whole[at] ^ 0x5A]) + whole[at + 1 :])
        try:
            assert read_part(cache, key).equals(before, check_metadata=True)
        except SinkError as error:
            told += 1
            assert "\n" not in error.message  # noqa: PT017  # some bytes tell nothing

    assert told > len(places) - 10
