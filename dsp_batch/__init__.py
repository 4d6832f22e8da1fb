"""A preview and a header index for every DICOM series.

The names below are the public ones. They are loaded when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dsp_batch.batch.manifest.read import read_manifest
    from dsp_batch.cache import Cache, open_cache
    from dsp_batch.errors import DspBatchError
    from dsp_batch.index.series_index import SeriesIndex
    from dsp_batch.model.frame import EncodedImage
    from dsp_batch.model.series import SeriesRef
    from dsp_batch.options import ContrastMosaicOptions, ImageOptions, IndexOptions, MosaicOptions, parse_contrast
    from dsp_batch.pipeline import find_series, load_index, preview
    from dsp_batch.version import __version__

_HOMES = {
    "Cache": "dsp_batch.cache",
    "ContrastMosaicOptions": "dsp_batch.options",
    "DspBatchError": "dsp_batch.errors",
    "EncodedImage": "dsp_batch.model.frame",
    "ImageOptions": "dsp_batch.options",
    "IndexOptions": "dsp_batch.options",
    "MosaicOptions": "dsp_batch.options",
    "SeriesIndex": "dsp_batch.index.series_index",
    "SeriesRef": "dsp_batch.model.series",
    "__version__": "dsp_batch.version",
    "find_series": "dsp_batch.pipeline",
    "load_index": "dsp_batch.pipeline",
    "open_cache": "dsp_batch.cache",
    "parse_contrast": "dsp_batch.options",
    "preview": "dsp_batch.pipeline",
    "read_manifest": "dsp_batch.batch.manifest.read",
}

__all__ = [
    "Cache",
    "ContrastMosaicOptions",
    "DspBatchError",
    "EncodedImage",
    "ImageOptions",
    "IndexOptions",
    "MosaicOptions",
    "SeriesIndex",
    "SeriesRef",
    "__version__",
    "find_series",
    "load_index",
    "open_cache",
    "parse_contrast",
    "preview",
    "read_manifest",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
