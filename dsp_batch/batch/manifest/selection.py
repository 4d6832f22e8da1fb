"""A manifest from the IDC index."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from itertools import chain

from dsp_batch.batch.manifest.write import list_lines
from dsp_batch.errors import ManifestError
from dsp_batch.idc.index import IdcIndex, require_index
from dsp_batch.idc.selection import SeriesSelection, read_values, select_series
from dsp_batch.model.series import SeriesRef


def list_selected(selection: SeriesSelection) -> Iterator[str]:
    """The lines of a manifest of the series of IDC's current version that fit a selection.

    Raises:
        ManifestError: No series fits, IDC does not have what is asked for, or the IDC index is not installed.
    """
    index = require_index()
    _refuse_unknown(index, selection)
    found = select_series(index, selection)
    first = next(found, None)
    if first is None:
        without = "; analysis results are left out unless --analysis-results include is given"
        advice = without if selection.analysis_results == "exclude" else ""
        raise ManifestError(f"no series of the IDC index fits{advice}")
    yield from list_lines(SeriesRef(each.place.root, each.series_uuid) for each in chain([first], found))


def _refuse_unknown(index: IdcIndex, selection: SeriesSelection) -> None:
    """Refuse collections and modalities that IDC does not have: among others they would be left out without a word."""
    for column, wanted in (("collection_id", selection.collection_ids), ("Modality", selection.modalities)):
        known = {value.lower(): value for value in read_values(index, column)} if wanted else {}
        for value in wanted:
            folded = value.strip().lower().replace("-", "_").replace(" ", "_")
            if folded not in known and value.lower() not in known:
                near = [known[each] for each in get_close_matches(folded, known)]
                hint = f"; did you mean {' or '.join(near)}?" if near else ""
                raise ManifestError(f"no series of the IDC index fits: there is no {column} {value!r}{hint}")
