"""A manifest from the IDC index."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from itertools import chain

from dsp_batch import idc
from dsp_batch.batch.manifest import list_lines
from dsp_batch.errors import ManifestError
from dsp_batch.model import SeriesRef


def list_selected(selection: idc.SeriesSelection) -> Iterator[str]:
    """The lines of a manifest of the series of IDC's current version that fit a selection.

    Raises:
        ManifestError: No series fits, or the IDC index is not installed.
    """
    index = idc.require_index()
    found = idc.select_series(index, selection)
    first = next(found, None)
    if first is None:
        raise ManifestError(f"no series of the IDC index fits{_advise(index, selection)}")
    yield from list_lines(SeriesRef(each.place.root, each.series_uuid) for each in chain([first], found))


def _advise(index: idc.IdcIndex, selection: idc.SeriesSelection) -> str:
    """What may be wrong with a selection that nothing fits."""
    for column, wanted in (("collection_id", selection.collection_ids), ("Modality", selection.modalities)):
        known = {value.lower(): value for value in idc.read_values(index, column)} if wanted else {}
        for value in wanted:
            folded = value.lower().replace("-", "_").replace(" ", "_")
            if folded not in known and value.lower() not in known:
                near = [known[each] for each in get_close_matches(folded, known)]
                hint = f"; did you mean {' or '.join(near)}?" if near else ""
                return f": there is no {column} {value!r}{hint}"
    if selection.analysis_results == "exclude":
        return "; analysis results are left out unless --analysis-results include is given"
    return ""
