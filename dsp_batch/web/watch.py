"""Keep a gallery up to date while runs go on."""

from __future__ import annotations

import time
from collections.abc import Iterator

from dsp_batch.cache import Cache
from dsp_batch.errors import ManifestError
from dsp_batch.web.gallery import Gallery, GalleryOptions, stamp_gallery, write_gallery

SECONDS_BETWEEN_LOOKS = 3.0
"""Seconds between two looks at the parts of the runs. The page looks for new data every four."""

_SHARE_OF_TIME = 3.0
"""After a writing the watch rests this many times as long as it took: a gallery of a million series takes a minute."""


def watch_gallery(cache: Cache, options: GalleryOptions) -> Iterator[Gallery]:
    """Write a gallery, and write it again whenever its runs have added rows, until all of them have ended.

    It waits for the first run where there is none yet.

    Raises:
        DspBatchError: As in `write_gallery`.
    """
    stamp = None
    while True:
        begin = time.monotonic()
        try:
            now = stamp_gallery(cache, options)
        except ManifestError:
            if stamp is not None:
                raise
            time.sleep(SECONDS_BETWEEN_LOOKS)
            continue
        if now != stamp:
            written = write_gallery(cache, options)
            stamp = now
            yield written
            if not written.live:
                return
        time.sleep(max(SECONDS_BETWEEN_LOOKS, _SHARE_OF_TIME * (time.monotonic() - begin)))
