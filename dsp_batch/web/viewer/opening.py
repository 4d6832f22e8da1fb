"""Put the parts of the viewer together, from its options."""

from __future__ import annotations

import threading

from dsp_batch.cache import open_cache
from dsp_batch.storage.public_buckets import DEFAULT_ROOT
from dsp_batch.web.viewer.catalog import Catalog
from dsp_batch.web.viewer.discovery import Discovery
from dsp_batch.web.viewer.library import ReadAccess, Library
from dsp_batch.web.viewer.options import ViewOptions
from dsp_batch.web.viewer.pixels.memory import FrameMemory
from dsp_batch.web.viewer.services import ViewServices
from dsp_batch.web.viewer.sources import SourceSearch


def open_services(options: ViewOptions, catalog: Catalog, stopping: threading.Event) -> ViewServices:
    """Make the services of the viewer.

    Args:
        options: The options.
        catalog: Takes the series that are found.
        stopping: Set when the viewer ends.
    """
    access = ReadAccess(
        endpoint_url=options.endpoint_url,
        anonymous=options.anonymous,
        cache=open_cache(options.cache, options.endpoint_url) if options.uses_cache else None,
        keeps_local=options.cache is not None,
    )
    search = SourceSearch(access=access, root=options.root or DEFAULT_ROOT, recursive=options.recursive)
    discovery = Discovery(catalog=catalog, library=Library(access=access), search=search, stopping=stopping)
    return ViewServices(discovery, FrameMemory(options.budget_mb << 20))
