"""The stages, from a series to its preview. The single command runs them in order, the batch as Dask tasks."""

from __future__ import annotations

import os
from typing import Any

from dsp_batch.cache import Cache
from dsp_batch.dicom.pixels.format import MAX_FRAME_BYTES
from dsp_batch.fetch import load_view
from dsp_batch.index.series_index import SeriesView
from dsp_batch.kinds.maps import describe_unit
from dsp_batch.model.frame import EncodedImage
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import ImageOptions, ImageVerbOptions, MosaicOptions
from dsp_batch.render.compose import Source
from dsp_batch.render.draw import render_contrast_mosaic, render_image, render_mosaic
from dsp_batch.storage.store import Store


def render_preview(view: SeriesView, source: Source, options: ImageVerbOptions, suffix: str) -> EncodedImage:
    """Draw what the options ask for; see `render_mosaic`, `render_image` and `render_contrast_mosaic`."""
    if isinstance(options, MosaicOptions):
        return render_mosaic(view, source, options, suffix)
    if isinstance(options, ImageOptions):
        return render_image(view, source, options, suffix)
    return render_contrast_mosaic(view, source, options, suffix)


def use_all_cores(store: Store, max_frame_bytes: int = MAX_FRAME_BYTES) -> Source:
    """Where frames are read, for a process that has the machine to itself."""
    return Source(store=store, decoders=os.cpu_count() or 1, max_frame_bytes=max_frame_bytes)


def preview_series(
    ref: SeriesRef, store: Store, cache: Cache | None, options: ImageVerbOptions, suffix: str
) -> EncodedImage:
    """The whole path for one series: its headers or its index, then its preview."""
    return render_preview(load_view(ref, store, cache), use_all_cores(store), options, suffix)


def describe_index(index: SeriesView) -> dict[str, Any]:
    """What a result row tells of a series; attributes that could name a patient are not among it."""
    first = index.attributes(0)
    syntaxes = dict.fromkeys(syntax for syntax in index.values("TransferSyntaxUID") if syntax)
    return {
        "series_instance_uid": first.text("SeriesInstanceUID"),
        "study_instance_uid": first.text("StudyInstanceUID"),
        "modality": first.text("Modality"),
        "sop_class": first.text("SOPClassUID"),
        "n_instances": len(index),
        "n_frames": sum(count or 0 for count in index.values("NumberOfFrames")),
        "transfer_syntax": "|".join(syntaxes) or None,
        "unit": describe_unit(first),
    }
