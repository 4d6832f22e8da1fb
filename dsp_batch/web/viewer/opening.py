"""Put the parts of the viewer together, from its options."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from dsp_batch.cache import Cache, open_cache
from dsp_batch.errors import StorageError
from dsp_batch.storage.public_buckets import DEFAULT_ROOT
from dsp_batch.web.viewer.cached import find_cache
from dsp_batch.web.viewer.catalog import Catalog
from dsp_batch.web.viewer.discovery import Discovery
from dsp_batch.web.viewer.filters import parse_filter
from dsp_batch.web.viewer.library import Library, ReadAccess
from dsp_batch.web.viewer.masking import Pseudonyms
from dsp_batch.web.viewer.options import ViewOptions
from dsp_batch.web.viewer.pixels.memory import FrameMemory
from dsp_batch.web.viewer.regions import RegionRow, RegionStore
from dsp_batch.web.viewer.services import ViewServices
from dsp_batch.web.viewer.sources import SourceSearch


def open_services(
    sources: Sequence[str],
    options: ViewOptions,
    catalog: Catalog,
    rows: Sequence[RegionRow],
    stopping: threading.Event,
) -> ViewServices:
    """Make the services of the viewer.

    Args:
        sources: What will be shown.
        options: The options.
        catalog: Takes the series that are found.
        rows: Rows of the CSV of regions.
        stopping: Set when the viewer ends.
    """
    caches = _find_caches(sources, options.endpoint_url)
    access = ReadAccess(
        endpoint_url=options.endpoint_url,
        anonymous=options.anonymous,
        cache=_choose_cache(options, caches),
        keeps_local=options.cache is not None,
    )
    regions = RegionStore(folders=_list_folders(sources, options.annotations))
    regions.add_rows(rows)
    discovery = Discovery(
        catalog=catalog,
        library=Library(access=access),
        search=SourceSearch(access=access, root=options.root or DEFAULT_ROOT, recursive=options.recursive),
        caches=caches,
        regions=regions,
        filters=tuple(map(parse_filter, options.filters)),
        pseudonyms=Pseudonyms() if options.masked else None,
        stopping=stopping,
    )
    return ViewServices(discovery, FrameMemory(options.budget_mb << 20))


def _find_caches(sources: Sequence[str], endpoint_url: str | None) -> dict[str, Cache]:
    """Find the sources that are cache directories. One that cannot be looked at is told about when it is read."""
    caches = {}
    for source in sources:
        with suppress(StorageError):
            if cache := find_cache(source, endpoint_url):
                caches[source] = cache
    return caches


def _choose_cache(options: ViewOptions, caches: Mapping[str, Cache]) -> Cache | None:
    """Choose where indices are read from: a cache directory that is shown has those of its series."""
    if not options.uses_cache or (options.cache is None and caches):
        return next(iter(caches.values()), None)
    return open_cache(options.cache, options.endpoint_url)


def _list_folders(sources: Sequence[str], annotations: str | None) -> tuple[str, ...]:
    """List the folders that relative paths of the CSV may be counted from: its own, and those that are shown."""
    folders = [str(Path(source).absolute()) for source in sources if Path(source).is_dir()]
    return (*([str(Path(annotations).absolute().parent)] if annotations else []), *folders)
