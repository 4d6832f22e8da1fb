"""The IDC index: what the Imaging Data Commons says about each of its series, without a request."""

from __future__ import annotations

from dsp_batch.idc.index import (
    IdcIndex,
    IdcSeries,
    Place,
    PlacedUuid,
    describe_series,
    find_places,
    find_series_uids,
    installed,
    open_index,
    place_series_uids,
    read_columns,
    read_values,
    require_index,
)
from dsp_batch.idc.keys import INSTALL_HINT
from dsp_batch.idc.selection import SeriesSelection, select_series
from dsp_batch.idc.viewer import viewer_url

__all__ = [
    "INSTALL_HINT",
    "IdcIndex",
    "IdcSeries",
    "Place",
    "PlacedUuid",
    "SeriesSelection",
    "describe_series",
    "find_places",
    "find_series_uids",
    "installed",
    "open_index",
    "place_series_uids",
    "read_columns",
    "read_values",
    "require_index",
    "select_series",
    "viewer_url",
]
