"""What the viewer can tell and show: one method for each route of the API. They run in threads of the server."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dsp_batch.core.encoding import encode_picture
from dsp_batch.dicom.pixels.format import describe_aspect
from dsp_batch.errors import DspBatchError
from dsp_batch.model.series import FrameRef
from dsp_batch.model.window import Window
from dsp_batch.options import PreviewOptions
from dsp_batch.pipeline import render_preview
from dsp_batch.web.viewer.cached import ServedGallery
from dsp_batch.web.viewer.catalog import Catalog, FileEntry, SeriesEntry
from dsp_batch.web.viewer.describing import (
    describe_order,
    describe_planes,
    describe_series_entry,
    find_frame_time,
    find_unit,
)
from dsp_batch.web.viewer.discovery import Discovery
from dsp_batch.web.viewer.library import OpenSeries
from dsp_batch.web.viewer.pixels.frames import (
    FrameReader,
    automatic_window,
    describe_window,
    find_own_window,
)
from dsp_batch.web.viewer.pixels.legends import describe_legend, may_lie_over
from dsp_batch.web.viewer.pixels.levels import describe_levels, find_tile
from dsp_batch.web.viewer.pixels.memory import FrameMemory
from dsp_batch.web.viewer.pixels.overlays import FrameBeneath, clear_overlay, count_overlay_bytes, draw_frame_overlay
from dsp_batch.web.viewer.pixels.pictures import FramePicture, PictureFormat, PictureOptions, draw_frame
from dsp_batch.web.viewer.server.answers import ApiAnswer, ApiError, answer_json
from dsp_batch.web.viewer.tags import format_tag, list_nodes, name_tag, parse_path, read_instance_header

_log = logging.getLogger(__name__)

_MEDIA_TYPES = {"png": "image/png", "webp": "image/webp", "jpeg": "image/jpeg"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameAddress:
    """A frame that a request asks for, as far as it exists."""

    entry: FileEntry
    opened: OpenSeries
    ref: FrameRef


class ViewServices:
    """Answers requests from the catalog, from open series, and from memory.

    Args:
        discovery: Finds and opens series.
        memory: Keeps frames and pictures.
    """

    def __init__(self, discovery: Discovery, memory: FrameMemory) -> None:
        self._discovery = discovery
        self._memory = memory
        self._reader = FrameReader(memory)
        self._gallery: ServedGallery | None = None

    @property
    def catalog(self) -> Catalog:
        """The series and files found so far."""
        return self._discovery.catalog

    def look_through(self, sources: Sequence[str]) -> None:
        """Look through all sources, until all are read or the viewer ends."""
        self._discovery.run(sources)

    def open_gallery(self) -> bool:
        """Make the gallery of the cache directory that is shown, if any; True where there is one.

        While patients are masked there is none, because its data hold their attributes.
        """
        cache = next(iter(self._discovery.caches.values()), None)
        if cache is None or self._discovery.pseudonyms is not None:
            return False
        try:
            self._gallery = ServedGallery(cache)
        except DspBatchError as error:
            _log.warning("there is no gallery: %s", error.message)
        return self._gallery is not None

    def find_gallery_file(self, name: str) -> ApiAnswer:
        """Answer with a file of the gallery."""
        found = self._gallery.find(name) if self._gallery else None
        if found is None:
            raise ApiError(404, "asset_not_found", "the gallery has no such file")
        return found

    def close(self) -> None:
        """Remove what the viewer has written."""
        if self._gallery is not None:
            self._gallery.close()

    def picture_options(  # noqa: PLR0913  # what a query may say, each by its name
        self,
        *,
        center: float | None,
        width: float | None,
        mode: Literal["default", "full_dynamic"],
        format: PictureFormat,  # noqa: A002  # the name of the query
        columns: int | None,
        burns_overlays: bool,
    ) -> PictureOptions:
        """Make the options of a picture from a query that was checked."""
        return PictureOptions(
            window=None if center is None or width is None else Window(center=center, width=width),
            mode=mode,
            format=format,
            width=columns,
            burns_overlays=burns_overlays,
        )

    def thumbnail_options(self, size: int) -> PictureOptions:
        """Make the options of a thumbnail that fits into a square."""
        return PictureOptions(format="jpeg", box=size)

    def list_files(self, since: int, limit: int) -> ApiAnswer:
        """Answer `files`."""
        catalog = self.catalog
        complete = catalog.scan_complete  # before the files, of which none may be missing when it is true
        entries = catalog.list_files(since, limit)
        return answer_json(
            {
                "files": [_describe_entry(since + rank, entry) for rank, entry in enumerate(entries)],
                "scan_complete": complete,
                "file_count": catalog.file_count,
                "more": since + len(entries) < catalog.file_count,
                "scanned": catalog.scanned,
                "skipped": catalog.skipped,
                "filtered": catalog.filtered,
            }
        )

    def list_series(self, since: int, limit: int) -> ApiAnswer:
        """Answer `series`."""
        catalog = self.catalog
        complete, newest = catalog.scan_complete, catalog.revision
        entries = catalog.list_series(since, limit)
        revision = entries[-1].revision if len(entries) == limit else max(newest, since)
        headers = {
            "X-Revision": str(revision),
            "X-More": "true" if revision < newest else "false",
            "X-Scan-Complete": "true" if complete else "false",
        }
        return answer_json([describe_series_entry(entry) for entry in entries], headers)

    def describe_series(self, series: str) -> ApiAnswer:
        """Answer `series/{id}`: the frames in display order."""
        entry, opened = self._open(series)
        numbers = self._number_rows(entry, opened)
        order = describe_order(opened, numbers)
        first = opened.index.attributes(min(numbers, default=0))
        return answer_json(
            {
                **describe_series_entry(entry),
                **order,
                "default_window": self._choose_window(opened, order["frames"]),
                "levels": describe_levels(opened, numbers),
                "unit": find_unit(first),
                "frame_time_ms": find_frame_time(first),
                "pixel_aspect_ratio": opened.index.derive(describe_aspect, 0) if order["frames"] else None,
            }
        )

    def describe_file(self, number: int) -> ApiAnswer:
        """Answer `file/{i}/info`: what `files` tells, and how the frames lie in the patient."""
        entry, opened, row = self._find_file(number)
        attributes = opened.index.attributes(row)
        return answer_json(
            {
                **_describe_entry(number, entry),
                "unit": find_unit(attributes),
                "frame_time_ms": find_frame_time(attributes),
                "bits_stored": attributes.integer("BitsStored"),
                "bits_allocated": attributes.integer("BitsAllocated"),
                "frames": describe_planes(opened, row),
            }
        )

    def find_picture(self, number: int, frame: int, options: PictureOptions) -> ApiAnswer | None:
        """Answer `file/{i}/frame/{f}` from memory alone; None where it is not there."""
        kept = self._memory.find(("picture", number, frame, options), FramePicture)
        return None if kept is None else _answer_picture(kept, is_hit=True)

    def draw_picture(self, number: int, frame: int, options: PictureOptions) -> ApiAnswer:
        """Answer `file/{i}/frame/{f}` and its thumbnail."""
        address = self._find_frame(number, frame)
        drawn = draw_frame(self._reader.read_frame(address.opened, address.ref), options)
        self._memory.keep(("picture", number, frame, options), drawn, len(drawn.data))
        return _answer_picture(drawn, is_hit=False)

    def read_samples(self, number: int, frame: int) -> ApiAnswer:
        """Answer `file/{i}/frame/{f}/raw`."""
        address = self._find_frame(number, frame)
        samples = self._reader.read_samples(address.opened, address.ref)
        return ApiAnswer(
            body=samples.values.tobytes(), media_type="application/octet-stream", headers=samples.describe()
        )

    def draw_planes(self, number: int, frame: int) -> ApiAnswer:
        """Answer `file/{i}/frame/{f}/overlay` without a series: the overlay planes of the frame."""
        address = self._find_frame(number, frame)
        planes = self._reader.read_frame(address.opened, address.ref).overlay
        if planes is None:
            raise ApiError(404, "no_overlay", f"frame {frame} of file {number} has no overlay planes")
        return ApiAnswer(body=encode_picture(planes.astype(np.uint8) * np.uint8(255), "png"), media_type="image/png")

    def list_overlays(self, series: str) -> ApiAnswer:
        """Answer `series/{id}/overlays`: the series that may lie over it."""
        entry, opened = self._open(series)
        above = [each for each in self.catalog.list_ready() if may_lie_over(entry.facts, each.facts)]
        above.sort(key=lambda each: each.facts["overlay_kind"] != "PR")  # states lie beneath what others say
        return answer_json([self._describe_overlay(each, opened) for each in above])

    def _describe_overlay(self, entry: SeriesEntry, beneath: OpenSeries) -> dict[str, Any]:
        _, over = self._open(entry.id)
        legend = describe_legend(over.index, entry.facts["overlay_kind"])
        # Either header may tell more of the patient than the other one.
        for mask in filter(None, (self._discovery.mask_of(each, 0) for each in (over, beneath))):
            legend = [{**key, "label": mask.hide(key["label"])} for key in legend]
        return {
            "series": entry.id,
            "kind": entry.facts["overlay_kind"],
            "description": entry.facts["description"],
            "legend": legend,
        }

    def draw_overlay(self, number: int, frame: int, series: str, *, sends_blank: bool) -> ApiAnswer:
        """Answer `file/{i}/frame/{f}/overlay` with a series: what it says of the frame."""
        address = self._find_frame(number, frame)
        key = ("overlay", number, frame, series)
        drawn = self._memory.find(key, ApiAnswer) or self._draw_overlay(address, series)
        self._memory.keep(key, drawn, len(drawn.body))
        if not drawn.headers["X-Overlay-Numbers"] and not sends_blank:
            raise ApiError(404, "no_overlay", f"series {series} says nothing of frame {frame} of file {number}")
        return drawn

    def _draw_overlay(self, address: FrameAddress, series: str) -> ApiAnswer:
        entry, over = self._open(series)
        image, facts = self.catalog.find_series(address.entry.series), address.entry.facts
        shape, describes = (facts["rows"], facts["columns"]), self._discovery.pseudonyms is None
        beneath = FrameBeneath(opened=address.opened, ref=address.ref, shape=shape, describes=describes)
        lies_over = image is not None and may_lie_over(image.facts, entry.facts)
        with self._memory.reserve(count_overlay_bytes(beneath)):
            found = draw_frame_overlay(over, entry.facts["overlay_kind"], beneath) if lies_over else None
            drawn = found or clear_overlay(beneath.shape)
            body = encode_picture(drawn.pixels, "png")
        headers = {"X-Overlay-Numbers": ",".join(map(str, drawn.numbers))}
        if drawn.turn is not None:
            headers["X-Overlay-Rotation"] = str(drawn.turn.rotation)
            headers["X-Overlay-Flip"] = "true" if drawn.turn.is_flipped else "false"
        return ApiAnswer(body=body, media_type="image/png", headers=headers)

    def draw_tile(self, number: int, column: int, row: int) -> ApiAnswer:
        """Answer `file/{i}/tile/{column}/{row}`: the picture of the frame that lies there."""
        _, opened, instance = self._find_file(number)
        ref = find_tile(opened, instance, column, row)
        if ref is None:
            raise ApiError(404, "frame_out_of_range", f"file {number} has no tile in column {column} and row {row}")
        owner = next(
            each for name, each in self._require_series(number).numbers.items() if opened.rows.get(name) == ref.instance
        )
        options = PictureOptions(format="jpeg")
        return self.find_picture(owner, ref.frame, options) or self.draw_picture(owner, ref.frame, options)

    def list_tags(self, number: int, path: str, offset: int, limit: int) -> ApiAnswer:
        """Answer `file/{i}/tags`."""
        _, opened, row = self._find_file(number)
        mask = self._discovery.mask_of(opened, row)
        if mask is not None and any(mask.conceals(format_tag(tag), name_tag(tag)) for tag, _ in parse_path(path)):
            raise ApiError(403, "masked", "this element is hidden while patients are masked")
        try:
            page = list_nodes(read_instance_header(opened, row), path, offset, limit)
        except KeyError:
            raise ApiError(404, "not_found", f"file {number} has no such element") from None
        if not path:
            page["nodes"] = [{**node, "varies": node["tag"] in opened.varying_tags} for node in page["nodes"]]
        if mask is not None:
            page["nodes"] = [mask.hide_node(node) for node in page["nodes"]]
        return answer_json(page)

    def draw_preview(self, series: str) -> ApiAnswer:
        """Answer `series/{id}/preview`: the picture or card that `preview` makes."""
        _, opened = self._open(series)
        options = PreviewOptions(describe=self._discovery.pseudonyms is None)
        image = render_preview(opened.index, self._discovery.open_images(opened), options, ".webp")
        return ApiAnswer(body=image.data, media_type="image/webp")

    def list_regions(self, number: int) -> ApiAnswer:
        """Answer GET `file/{i}/annotations`."""
        self._require_file(number)
        return answer_json(self._discovery.regions.find(number).describe())

    def replace_regions(self, number: int, value: Mapping[str, Any]) -> ApiAnswer:
        """Answer PUT `file/{i}/annotations`: take the regions, or change nothing."""
        self._require_file(number)
        return answer_json(self._discovery.regions.replace(number, value).describe())

    def export_regions(self) -> ApiAnswer:
        """Answer `annotations/export.csv`."""
        headers = {"Content-Disposition": 'attachment; filename="annotations.csv"'}
        body = self._discovery.regions.export().encode("utf-8", "replace")
        return ApiAnswer(body=body, media_type="text/csv; charset=utf-8", headers=headers)

    def _number_rows(self, entry: SeriesEntry, opened: OpenSeries) -> dict[int, int]:
        """Return the number of the file of each row of an index that is shown."""
        return {opened.rows[name]: number for name, number in entry.numbers.items() if name in opened.rows}

    def _require_file(self, number: int) -> FileEntry:
        entry = self.catalog.find_file(number)
        if entry is None:
            raise ApiError(404, "not_found", f"there is no file {number}: there are {self.catalog.file_count}")
        return entry

    def _require_series(self, number: int) -> SeriesEntry:
        entry = self.catalog.find_series(self._require_file(number).series)
        if entry is None:
            raise ApiError(404, "not_found", "there is no such series")
        return entry

    def _open(self, series: str) -> tuple[SeriesEntry, OpenSeries]:
        try:
            return self._discovery.open(series)
        except KeyError:
            raise ApiError(404, "not_found", "there is no such series") from None

    def _find_file(self, number: int) -> tuple[FileEntry, OpenSeries, int]:
        entry = self._require_file(number)
        _, opened = self._open(entry.series)
        row = opened.rows.get(entry.name)
        if row is None:
            raise ApiError(404, "not_found", f"file {number} is no longer there")
        return entry, opened, row

    def _find_frame(self, number: int, frame: int) -> FrameAddress:
        entry, opened, row = self._find_file(number)
        count = opened.frame_counts[row]
        if row not in opened.drawable:
            raise ApiError(404, "no_pixel_data", f"file {number} has no pixels")
        if frame >= count:
            raise ApiError(404, "frame_out_of_range", f"file {number} has no frame {frame}: it has {count}, from 0")
        return FrameAddress(entry=entry, opened=opened, ref=FrameRef(row, frame))

    def _choose_window(self, opened: OpenSeries, frames: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """Choose the window of a series: that of its middle frame, its own or from its values."""
        if not frames:
            return None
        middle = frames[len(frames) // 2]
        name = self._require_file(middle["file"]).name
        ref = FrameRef(opened.rows[name], middle["frame"])
        own = find_own_window(opened, ref.instance, ref.frame)
        if own is not None:
            return describe_window(own)
        try:
            return describe_window(automatic_window(self._reader.read_frame(opened, ref)))
        except DspBatchError:
            return None


def _describe_entry(number: int, entry: FileEntry) -> dict[str, Any]:
    return {"index": number, "series": entry.series, **entry.facts}


def _answer_picture(picture: FramePicture, *, is_hit: bool) -> ApiAnswer:
    headers = {"X-Cache": "HIT" if is_hit else "MISS", "X-Frame-Window-Applied": picture.applied}
    if picture.window is not None:
        headers["X-Frame-Window-Center"] = repr(picture.window.center)
        headers["X-Frame-Window-Width"] = repr(picture.window.width)
    return ApiAnswer(body=picture.data, media_type=_MEDIA_TYPES[picture.format], headers=headers)
