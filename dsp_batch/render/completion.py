"""Headers of which only the beginning was read are read to their end before their pictures are drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from dsp_batch.dicom.headers.read import FIRST_RANGE, read_rest
from dsp_batch.errors import DspBatchError, HeaderError, PixelError
from dsp_batch.fetch import KEPT_BYTES, report_rejected
from dsp_batch.index.header_view import HeaderView, view_headers
from dsp_batch.kinds.registry import has_pixels
from dsp_batch.model.ranges import Piece
from dsp_batch.model.series import InstanceHeader, ObjectInfo
from dsp_batch.render.compose import Painting, Source
from dsp_batch.render.read import pixels_of

_TAIL = 64 << 10
"""Bytes beside its frame that the rest of an object may have to be read at once."""

_FUNCTIONAL_GROUPS = {0x52009229, 0x52009230}
"""Shared and Per-frame Functional Groups Sequence (PS3.3 C.7.6.16)."""

Rest = tuple[InstanceHeader, Piece] | DspBatchError


def choose_pictures(whole: Painting, choose: Callable[[Painting], Painting]) -> Painting:
    """Choose what is drawn of a series, and know the whole header of each of these pictures.

    Args:
        whole: The series; no pictures yet.
        choose: Chooses by what the view of a painting tells.

    Returns:
        What was chosen. Where the rest of a header shows that it is no image, or damaged, the choice was made among
        the wrong ones: then all headers are read to their end, and it is made again.

    Raises:
        SeriesError: Nothing is left to draw.
        StorageError: A header could not be read.
    """
    painting, view = choose(whole), whole.view
    rows = {ref.instance for picture in painting.pictures for ref in picture.frames} & view.unread
    if not rows or not isinstance(view, HeaderView):
        return painting
    rests = _read_rests(view, whole.source, rows)
    read = {row: rest for row, rest in rests.items() if isinstance(rest, tuple) and _is_placed_image(rest[0])}
    if len(read) == len(rows):
        headers = {row: header for row, (header, _) in read.items()}
        return replace(painting, view=view.complete(headers, {header.name: piece for header, piece in read.values()}))
    return choose(replace(whole, view=_complete_all(view, whole.source, rests)))


def _is_placed_image(header: InstanceHeader) -> bool:
    """Whether a whole header is of an image that lies where its beginning told: functional groups may place it anew."""
    return has_pixels(header) and not header.elements.keys() & _FUNCTIONAL_GROUPS


def _complete_all(view: HeaderView, source: Source, read: Mapping[int, Rest]) -> HeaderView:
    """The series by its whole headers, some of them read already, without the objects that turn out to be damaged."""
    rests = {**read, **_read_rests(view, source, view.unread - read.keys(), with_frames=False)}
    rejected = {view.values("FileName")[row]: rest for row, rest in rests.items() if not isinstance(rest, tuple)}
    report_rejected(view.series.ref, rejected)
    headers = [
        rest[0] if isinstance(rest := rests.get(row), tuple) else header
        for row, header in enumerate(view.headers.headers)
        if header.name not in rejected
    ]
    series = view.series
    pieces = {rest[0].name: rest[1] for rest in read.values() if isinstance(rest, tuple)}
    return view_headers(
        replace(
            series,
            headers=tuple(headers),
            rejected={**series.rejected, **rejected},
            bodies={**series.bodies, **pieces},
        )
    )


def _read_rests(view: HeaderView, source: Source, rows: Iterable[int], *, with_frames: bool = True) -> dict[int, Rest]:
    """Read on in some headers, where wanted as far as their frames where these lie close behind.

    Raises:
        StorageError: An object could not be read.
    """
    headers = {row: view.headers.headers[row] for row in rows}
    infos = {row: ObjectInfo(name=header.name, size=header.size) for row, header in headers.items()}
    left = KEPT_BYTES if with_frames else 0
    readers = {}
    for row, header in headers.items():
        behind = header.size - (header.unread_from or 0)
        is_close = behind <= min(_count_frame_bytes(view, row) + _TAIL, left)
        left -= behind if is_close else 0
        readers[infos[row]] = read_rest(header, behind if is_close else FIRST_RANGE)
    found = source.store.read(view.series_uuid, readers, timeout=source.timeout)
    rests = {row: found[info.name] for row, info in infos.items()}
    for rest in rests.values():
        if isinstance(rest, DspBatchError) and not isinstance(rest, HeaderError):
            raise rest
    return rests


def _count_frame_bytes(view: HeaderView, row: int) -> int:
    """Bytes of a frame; 0 where the header is damaged, which the picture is told to be when it is painted."""
    try:
        return pixels_of(view, row).native_frame_bits // 8
    except PixelError:
        return 0
