"""Series that wait for the images that they speak of, and the places of these images once they are drawn."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from dsp_batch.batch.manifest.table import Manifest
from dsp_batch.batch.runs.result_row import SeriesResult
from dsp_batch.batch.runs.resume import sort_keys
from dsp_batch.cache import Cache
from dsp_batch.idc.index import find_series_uids, open_idc_index
from dsp_batch.model.places import SeriesPlace
from dsp_batch.model.series import SeriesRef
from dsp_batch.references.finished import find_finished

SERIES_PER_LOOK = 16_384
"""Series whose images are looked for at once. All rows of the cache are read for that."""

_MOST_PLACES = 64
"""Places that a series is told of, at most: a study may have thousands of series."""


class WaitingSeries(NamedTuple):
    """A series that waits for the images that it speaks of."""

    series_uuid: str
    study_instance_uid: str
    images: tuple[str, ...]
    """SeriesInstanceUIDs that it names."""


def take_waiting(rows: Sequence[SeriesResult]) -> list[WaitingSeries]:
    """Take those series of some rows that wait."""
    return [
        WaitingSeries(row.series_uuid, row.study_instance_uid or "", row.references or ())
        for row in rows
        if row.status == "waiting"
    ]


def tell_places(waiting: Sequence[WaitingSeries], manifest: Manifest, cache: Cache) -> Iterator[SeriesRef]:
    """Tell series that waited where the images are that they speak of, as far as anyone knows.

    Args:
        waiting: The series.
        manifest: The manifest that they are of.
        cache: The cache, whose finished rows are looked through.

    Returns:
        The series again, in another order, each with its `neighbours`.
    """
    keys = sort_keys(manifest)
    for start in range(0, len(waiting), SERIES_PER_LOOK):
        some = {each.series_uuid: each for each in waiting[start : start + SERIES_PER_LOOK]}
        named = {uid for each in some.values() for uid in each.images}
        studies = {each.study_instance_uid for each in some.values() if each.study_instance_uid}
        places = find_finished(cache, named, studies)
        places += _ask_idc(named - {place.series_instance_uid for place in places})
        by_uid: dict[str, list[SeriesPlace]] = {}
        for place in places:
            by_uid.setdefault(place.series_instance_uid, []).append(place)
            by_uid.setdefault(place.study_instance_uid, []).append(place)
        for ref in manifest.take(keys.find_names(some)):
            asked = some[ref.series_uuid]
            known = [place for uid in (*asked.images, asked.study_instance_uid) for place in by_uid.get(uid, ())]
            yield ref._replace(neighbours=tuple(dict.fromkeys(known))[:_MOST_PLACES])


def _ask_idc(series: Collection[str]) -> list[SeriesPlace]:
    """Look series up in the IDC index, where the client has it."""
    index = open_idc_index()
    uids = sorted(series)
    if index is None or not uids:
        return []
    found = zip(uids, find_series_uids(index, uids), strict=True)
    return [SeriesPlace(uid, "", "", each.root, each.series_uuid) for uid, each in found if each]
