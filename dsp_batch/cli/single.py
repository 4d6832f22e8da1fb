"""Carry out the commands on one series: from their arguments to the stages of the pipeline."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import click

from dsp_batch.cache import Cache, index_key, open_cache, write_index
from dsp_batch.cli.options import CacheOptions, SeriesOptions
from dsp_batch.cli.outputs import check_image_output, check_output, is_parquet
from dsp_batch.cli.program import EXIT_ERROR
from dsp_batch.errors import DspBatchError, SinkError
from dsp_batch.fetch import fetch_headers
from dsp_batch.index.build import build_index
from dsp_batch.index.parquet import serialize_index
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.kinds.registry import add_statements
from dsp_batch.model.series import Receipt, SeriesRef
from dsp_batch.options import CineOptions, ImageVerbOptions, IndexOptions
from dsp_batch.pipeline import build_search, find_series, index_series, open_frames, render_preview
from dsp_batch.storage.objects import write_whole
from dsp_batch.storage.store import Store, build_store
from dsp_batch.storage.urls import local_path
from dsp_batch.storage.usage import measure_usage
from dsp_batch.version import __version__

_log = logging.getLogger(__name__)

_WITHOUT_IMAGE = "drawn without its image, whose index is not in the cache: --context fetch reads its headers"


def preview(series: str, output: str, options: ImageVerbOptions, source: SeriesOptions, cache: CacheOptions) -> None:
    """Draw a series and write the image: of one of the formats that the options have.

    Raises:
        DspBatchError: As in `pipeline.draw_series` and `storage.objects.write_whole`.
    """
    suffix = _check_moving(output) if isinstance(options, CineOptions) else check_image_output(output)
    kept = None if cache.disabled else _open_cache(cache, source)
    ref, store = _open_series(series, source, kept)
    with log_stage("index"):
        index = index_series(ref, store, kept, draw_options=options, refresh=source.refresh)
    with log_stage("render"):
        search = build_search(index, kept, options, ref.neighbours or ())
        frames = open_frames(index, store, kept, search, source.max_frame_mb << 20)
        image = render_preview(index, frames, options, suffix)
    _warn(ref, (*image.notes, *image.failures))
    if search.mode == "cached" and image.context == "absent" and not frames.references:
        _warn(ref, [_WITHOUT_IMAGE])
    receipt = write_output(output, image.data, source, cache)
    _log.debug("%s: %d frames, %d bytes", receipt.url, image.n_tiles, receipt.size)


def _check_moving(output: str) -> str:
    """Check that moving pictures can be written to a path or URL, as `check_image_output` checks for images."""
    from dsp_batch.render.cine import CINE_SUFFIXES, check_cine_suffix  # noqa: PLC0415  # moving pictures

    suffix = check_image_output(output, CINE_SUFFIXES)
    check_cine_suffix(suffix)
    return suffix


class IndexFile(NamedTuple):
    """One Parquet file that an index is written to."""

    url: str

    cache_control: str | None
    """Cache-Control header of a file in a bucket; None for no header."""


def choose_index_target(
    series: Sequence[str], output: str | None, cache: CacheOptions, source: SeriesOptions
) -> Cache | IndexFile:
    """Choose where `build-index` writes: to a cache directory, or to one Parquet file.

    Raises:
        click.UsageError: The options exclude each other.
        SinkError: The place cannot be written.
    """
    if output is None:
        if cache.disabled:
            raise click.UsageError("--no-cache leaves no place for the index: give -o, or leave it out")
        return _open_cache(cache, source)
    if cache.directory is not None:
        raise click.UsageError("--output and --cache-dir exclude each other")
    if len(set(series)) > 1:
        raise click.UsageError("--output takes exactly one series; give --cache-dir for several")
    if is_parquet(output):
        check_output(output)
        return IndexFile(output, cache.cache_control)
    path = local_path(output)
    if path is not None and path.is_file():
        raise SinkError(f"cannot write {output}: it is a file; give a folder, or a name that ends in .parquet")
    return _open_cache(CacheOptions(directory=output, disabled=False, cache_control=cache.cache_control), source)


def write_indices(
    series: Sequence[str], target: Cache | IndexFile, options: IndexOptions, source: SeriesOptions
) -> int:
    """Build the index of each series and write it. If one fails, the others are built all the same.

    Returns:
        The exit status.

    Raises:
        DspBatchError: A name is malformed, or a prefix that nothing begins with; nothing was read or written.
        DspBatchError: The only series failed.
    """
    kept = target if isinstance(target, Cache) else None
    opened = [_open_series(text, source, kept) for text in dict.fromkeys(series)]
    status = 0
    for ref, store in opened:
        try:
            _write_index(ref, store, target, options, source)
        except DspBatchError as error:
            if len(opened) == 1:
                raise
            _log.error("%s", error.message, exc_info=error)
            status = EXIT_ERROR
    return status


def find_index(series: str, source: SeriesOptions, cache: CacheOptions) -> str:
    """Make sure that the index of a series is in the cache, and return its path or URL.

    Raises:
        DspBatchError: As in `pipeline.index_series`.
    """
    if cache.disabled:
        raise click.UsageError("get-index needs the cache: leave --no-cache out")
    index = open_index(series, source, cache)
    return _open_cache(cache, source).url_of(index_key(index.series_uuid))


def open_index(series: str, source: SeriesOptions, cache: CacheOptions) -> SeriesIndex:
    """Load the index of a series: the one in the cache, else one that is built and kept there.

    Raises:
        DspBatchError: As in `pipeline.index_series`.
    """
    kept = None if cache.disabled else _open_cache(cache, source)
    ref, store = _open_series(series, source, kept)
    with log_stage("index"):
        index = index_series(ref, store, kept, refresh=source.refresh)
    _warn(ref, index.notes)
    return index


def write_output(output: str, data: bytes, source: SeriesOptions, cache: CacheOptions) -> Receipt:
    """Write a file, whole or not at all, and return where it is and how large.

    Raises:
        SinkError: It cannot be written.
    """
    with log_stage("write"):
        return write_whole(output, data, endpoint_url=source.endpoint_url, cache_control=cache.cache_control)


@contextmanager
def log_stage(name: str) -> Iterator[None]:
    """Log the seconds, requests and bytes of a stage."""
    begin = time.perf_counter()
    with measure_usage() as usage:
        yield
    seconds = time.perf_counter() - begin
    _log.debug("%s: %.3f s, %d requests, %d bytes read", name, seconds, usage.requests, usage.bytes_read)


def _write_index(
    ref: SeriesRef, store: Store, target: Cache | IndexFile, options: IndexOptions, source: SeriesOptions
) -> None:
    with log_stage("headers"):
        headers = fetch_headers(ref, store, options)
    with log_stage("index"):
        index = add_statements(build_index(headers))
    _warn(ref, index.notes)
    with log_stage("write"):
        if isinstance(target, IndexFile):
            data = serialize_index(index, __version__)
            control = target.cache_control
            receipt = write_whole(target.url, data, endpoint_url=source.endpoint_url, cache_control=control)
        else:
            receipt = write_index(index, target)
    _log.debug("%s: %d instances, %d bytes", receipt.url, len(index), receipt.size)


def _warn(ref: SeriesRef, lines: Iterable[str]) -> None:
    """Warn of what was left out or could not be drawn: of the file where a series is one of several in its folder."""
    is_file = ref.objects is not None and len(ref.objects) == 1
    place = f"{ref.root}/{ref.objects[0].name}" if ref.objects and is_file else ref.url
    for line in lines:
        _log.warning("%s: %s", place, line)


def _open_series(series: str, source: SeriesOptions, cache: Cache | None) -> tuple[SeriesRef, Store]:
    """Find a series. That a folder named by a UUID is there shows when it is read."""
    endpoint_url, anonymous = source.endpoint_url, source.anonymous
    with log_stage("find"):
        ref = find_series(
            series,
            root=source.root,
            series_uid=source.series_uid,
            endpoint_url=endpoint_url,
            anonymous=anonymous,
            cache=cache,
            refresh=source.refresh,
        )
    store = build_store(ref.root, endpoint_url=endpoint_url, anonymous=anonymous, max_workers=source.max_workers)
    return ref, store


def _open_cache(cache: CacheOptions, source: SeriesOptions) -> Cache:
    return open_cache(cache.directory, source.endpoint_url, cache.cache_control)
