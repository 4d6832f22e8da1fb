"""A preview and a header index for every DICOM series.

The names below are the public ones. They are loaded when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dsp_batch.batch.manifest.read import read_manifest
    from dsp_batch.batch.plan.plan import Plan, plan_batch
    from dsp_batch.batch.run import run_batch
    from dsp_batch.batch.runs.results import read_results
    from dsp_batch.batch.runs.status import RunStatus, read_status
    from dsp_batch.batch.runs.summary import RunSummary
    from dsp_batch.cache import Cache, open_cache
    from dsp_batch.errors import DspBatchError
    from dsp_batch.index.series_index import SeriesIndex
    from dsp_batch.model.contrast import Contrast, parse_contrast
    from dsp_batch.model.frame import EncodedImage
    from dsp_batch.model.series import SeriesRef
    from dsp_batch.options import (
        CineOptions,
        ClusterOptions,
        ContrastMosaicOptions,
        ImageOptions,
        IndexOptions,
        MosaicOptions,
        PreviewOptions,
    )
    from dsp_batch.pipeline import find_series, load_index, preview
    from dsp_batch.version import __version__
    from dsp_batch.web.gallery import open_gallery
    from dsp_batch.web.viewer.server.running import view

_HOMES = {
    "Cache": "dsp_batch.cache",
    "CineOptions": "dsp_batch.options",
    "ClusterOptions": "dsp_batch.options",
    "Contrast": "dsp_batch.model.contrast",
    "ContrastMosaicOptions": "dsp_batch.options",
    "DspBatchError": "dsp_batch.errors",
    "EncodedImage": "dsp_batch.model.frame",
    "ImageOptions": "dsp_batch.options",
    "IndexOptions": "dsp_batch.options",
    "MosaicOptions": "dsp_batch.options",
    "Plan": "dsp_batch.batch.plan.plan",
    "PreviewOptions": "dsp_batch.options",
    "RunStatus": "dsp_batch.batch.runs.status",
    "RunSummary": "dsp_batch.batch.runs.summary",
    "SeriesIndex": "dsp_batch.index.series_index",
    "SeriesRef": "dsp_batch.model.series",
    "__version__": "dsp_batch.version",
    "find_series": "dsp_batch.pipeline",
    "load_index": "dsp_batch.pipeline",
    "open_cache": "dsp_batch.cache",
    "open_gallery": "dsp_batch.web.gallery",
    "parse_contrast": "dsp_batch.model.contrast",
    "plan_batch": "dsp_batch.batch.plan.plan",
    "preview": "dsp_batch.pipeline",
    "read_manifest": "dsp_batch.batch.manifest.read",
    "read_results": "dsp_batch.batch.runs.results",
    "read_status": "dsp_batch.batch.runs.status",
    "run_batch": "dsp_batch.batch.run",
    "view": "dsp_batch.web.viewer.server.running",
}

__all__ = [
    "Cache",
    "CineOptions",
    "ClusterOptions",
    "Contrast",
    "ContrastMosaicOptions",
    "DspBatchError",
    "EncodedImage",
    "ImageOptions",
    "IndexOptions",
    "MosaicOptions",
    "Plan",
    "PreviewOptions",
    "RunStatus",
    "RunSummary",
    "SeriesIndex",
    "SeriesRef",
    "__version__",
    "find_series",
    "load_index",
    "open_cache",
    "open_gallery",
    "parse_contrast",
    "plan_batch",
    "preview",
    "read_manifest",
    "read_results",
    "read_status",
    "run_batch",
    "view",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
