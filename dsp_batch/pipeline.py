"""The path of a series, from its name to its picture: the public functions first, then its stages.

    name → SeriesRef → headers → SeriesIndex → pictures → frames → tiles → EncodedImage

The public functions and the commands on one series walk it here. A batch runs the same stages as Dask tasks:
`fetch_headers`, `build_index`, `add_statements`, `load_references` and `render_preview`.
"""

from __future__ import annotations

import os
from typing import Any

from dsp_batch.cache import Cache, open_cache, write_index
from dsp_batch.dicom.pixels.format import MAX_FRAME_BYTES
from dsp_batch.fetch import KEPT_BYTES_ALONE, Allowance, fetch_headers, find_index, find_machine_memory
from dsp_batch.index.build import build_index
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.kinds.card import withhold_descriptions
from dsp_batch.kinds.maps import describe_unit
from dsp_batch.kinds.overlays.registry import name_images
from dsp_batch.kinds.registry import add_statements
from dsp_batch.model.frame import EncodedImage
from dsp_batch.model.notes import join_notes
from dsp_batch.model.places import SeriesPlace
from dsp_batch.model.series import SeriesRef
from dsp_batch.names import find_local, parse_series
from dsp_batch.options import CineOptions, ImageVerbOptions, IndexOptions, PreviewOptions
from dsp_batch.references.load import EVERYWHERE, Search, load_references
from dsp_batch.render.choose import choose_pictures
from dsp_batch.render.compose import FrameSource
from dsp_batch.render.draw import draw_tiles, encode_tiles, lay_out_mosaic
from dsp_batch.scan.find import find_again, find_named_series
from dsp_batch.scan.settings import ScanSettings
from dsp_batch.storage.aws import resolve_endpoint
from dsp_batch.storage.public_buckets import DEFAULT_ROOT
from dsp_batch.storage.store import Store, build_store
from dsp_batch.storage.urls import normalise_root

_DEFAULT_PREVIEW = PreviewOptions()

_DESCRIPTIONS = {
    "patient_id": "PatientID",
    "study_date": "StudyDate",
    "study_description": "StudyDescription",
    "series_description": "SeriesDescription",
    "body_part": "BodyPartExamined",
    "manufacturer": "Manufacturer",
}
"""Fields of the result row that hold text to group and search by, each with the keyword of its attribute."""

_NUMBERS = {"series_number": "SeriesNumber", "rows": "Rows", "columns": "Columns"}
"""Fields of the result row that hold a whole number, each with the keyword of its attribute."""


def preview(  # noqa: PLR0913  # what is drawn and where it is read, each by its name
    series: str | os.PathLike[str] | SeriesRef,
    options: ImageVerbOptions = _DEFAULT_PREVIEW,
    *,
    root: str | os.PathLike[str] = DEFAULT_ROOT,
    series_uid: str | None = None,
    endpoint_url: str | None = None,
    anonymous: bool | None = None,
    cache: Cache | str | os.PathLike[str] | None = None,
    suffix: str = ".webp",
) -> EncodedImage:
    """Draw a series: the same bytes as the commands write.

    Args:
        series: As in `find_series`, or an entry of a manifest.
        options: `PreviewOptions`, `MosaicOptions`, `ImageOptions`, `ContrastMosaicOptions` or `CineOptions`.
        root: As in `find_series`.
        series_uid: As in `find_series`.
        endpoint_url: As in `find_series`.
        anonymous: As in `find_series`.
        cache: Where indices and scans of folders are kept: a path, a URL, or from `open_cache`; None to neither read
            nor write any.
        suffix: `.webp`, `.jpg` or `.jpeg`; with `CineOptions` `.webp`, `.avif`, `.gif` or `.mp4`.

    Returns:
        The image file in `data`, and what it shows.

    Raises:
        OptionsError: The text names no series, or the options ask for frames that it has not.
        StorageError: The series is not there, or cannot be read.
        SeriesError: The series has no DICOM instance, or none with pixels where the options ask for frames.
        PixelError: No frame could be decoded.

    Example:
        >>> image = preview("series/fab43f47-d595-57c7-9ed5-b9ecd3d19919")
        >>> image.n_tiles, image.width, image.height, image.data[8:12]
        (36, 768, 768, b'WEBP')
    """
    kept = _open_cache(cache)
    ref, store = _open_series(series, root, series_uid, endpoint_url, anonymous=anonymous, cache=kept)
    return draw_series(ref, store, kept, options, suffix)


def load_index(  # noqa: PLR0913  # where it is read, each by its name
    series: str | os.PathLike[str] | SeriesRef,
    *,
    root: str | os.PathLike[str] = DEFAULT_ROOT,
    series_uid: str | None = None,
    endpoint_url: str | None = None,
    anonymous: bool | None = None,
    cache: Cache | str | os.PathLike[str] | None = None,
) -> SeriesIndex:
    """Load the index of a series: every header element of every instance, in display order.

    Args:
        series: As in `find_series`, or an entry of a manifest.
        root: As in `find_series`.
        series_uid: As in `find_series`.
        endpoint_url: As in `find_series`.
        anonymous: As in `find_series`.
        cache: Where indices and scans of folders are kept: a path, a URL, or from `open_cache`; None to neither read
            nor write any.

    Returns:
        The index. Its `table` is a `pyarrow.Table`, one row an instance; elements with one value in all instances are
        in `constants`; `values` gives an element wherever it is.

    Raises:
        OptionsError: The text names no series.
        StorageError: The series is not there, or cannot be read.
        SeriesError: None of its objects is a DICOM instance.

    Example:
        >>> index = load_index("series/fab43f47-d595-57c7-9ed5-b9ecd3d19919")
        >>> len(index), index.values("Modality")[0], index.table.column("PrimaryPosition")[0].as_py()
        (40, 'CT', 195.0)
    """
    kept = _open_cache(cache)
    ref, store = _open_series(series, root, series_uid, endpoint_url, anonymous=anonymous, cache=kept)
    return index_series(ref, store, kept)


def find_series(  # noqa: PLR0913  # where it is looked for, each by its name
    series: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] = DEFAULT_ROOT,
    series_uid: str | None = None,
    endpoint_url: str | None = None,
    anonymous: bool | None = None,
    cache: Cache | str | os.PathLike[str] | None = None,
    refresh: bool = False,
) -> SeriesRef:
    """Find the series that a name means.

    A folder that is named by a UUID is taken as a series. Any other folder is walked to any depth, and the headers of
    its objects tell which series it holds. A cache keeps what they tell. The next scan then reads only the headers of
    objects whose name, size or time has changed.

    Args:
        series: A path object is always a folder or a file. A text that is the path of one means it; any other text is
            a UUID (with or without hyphens), a prefix of one that ends in `*`, the URL or path of a folder, or a
            SeriesInstanceUID.
        root: Where to look when the name does not say it: `s3://bucket`, `https://host/path`, a folder.
        series_uid: SeriesInstanceUID of the series that is meant where the folder holds several.
        endpoint_url: URL of an S3-compatible server; None for the one that `AWS_ENDPOINT_URL` names, else AWS.
        anonymous: True to send requests unsigned, False to sign them; None to sign them where there are credentials
            and the bucket is not one of IDC's public ones.
        cache: Where scans of folders are kept: a path, a URL, or from `open_cache`; None to neither read nor write any.
        refresh: True to read a header again where the listing does not tell when its object was written.

    Returns:
        The root and the folder of the series, and its objects where the folder was scanned. A folder that is named by
        a UUID is not opened here: if it is missing, reading its headers raises the error.

    Raises:
        OptionsError: The text has none of the accepted forms, which the message lists; or the folder holds several
            series, each of which is logged as a warning.
        StorageError: There is no such series, or the root cannot be listed.
        SeriesError: The text names a file that is no DICOM instance.

    Example:
        >>> find_series("38902E14B11F4548910E771EE757DC82").url
        's3://idc-open-data/38902e14-b11f-4548-910e-771ee757dc82'
    """
    endpoint = resolve_endpoint(endpoint_url)
    # The leading dot makes a relative path object a path, even where its name has the form of a UUID.
    text = series if isinstance(series, str) else os.path.join(os.curdir, series)  # noqa: PTH118  # keeps the dot
    name = find_local(text) or parse_series(text, normalise_root(root, endpoint), endpoint)

    def open_store(root_found: str) -> Store:
        return build_store(root_found, endpoint_url=endpoint, anonymous=anonymous)

    settings = ScanSettings(open_store=open_store, cache=_open_cache(cache), refresh=refresh)
    return find_named_series(name, settings, series_uid)


def draw_series(
    ref: SeriesRef, store: Store, cache: Cache | None, options: ImageVerbOptions, suffix: str
) -> EncodedImage:
    """Walk the whole path of one series, for a process that has the machine to itself."""
    index = index_series(ref, store, cache, draw_options=options)
    search = build_search(index, cache, options, ref.neighbours or ())
    return render_preview(index, open_frames(index, store, cache, search), options, suffix)


def index_series(
    ref: SeriesRef,
    store: Store,
    cache: Cache | None,
    *,
    draw_options: ImageVerbOptions | None = None,
    refresh: bool = False,
) -> SeriesIndex:
    """Load the complete index of a series from the cache, or build it from the headers and write it to the cache.

    Args:
        ref: The series.
        store: The store of its root.
        cache: Where indices are kept; None to neither read nor write any.
        draw_options: What will be drawn of the series; None for nothing. Small objects are then read whole and kept.
        refresh: As in `find_index`.

    Raises:
        StorageError: The series cannot be listed, or one of its objects cannot be read.
        SeriesError: None of its objects is a DICOM instance, or none has pixels and the options ask for frames.
    """
    index = find_index(ref, store, cache, refresh=refresh) if cache else None
    if index is None:
        allowance = Allowance(
            kept_bytes=KEPT_BYTES_ALONE if draw_options else None,
            needs_pixels=draw_options is not None and not isinstance(draw_options, PreviewOptions),
            memory=find_machine_memory(),
        )
        headers = fetch_headers(ref, store, IndexOptions(), allowance)
        index = add_statements(build_index(headers))
        if cache:
            write_index(index, cache)
    return index


def open_frames(
    index: SeriesIndex,
    store: Store,
    cache: Cache | None,
    search: Search = EVERYWHERE,
    max_frame_bytes: int = MAX_FRAME_BYTES,
) -> FrameSource:
    """Load the series that a series draws upon or speaks of, and say where the frames of all of them are read.

    Args:
        index: The series.
        store: The store of its root.
        cache: Where indices are kept; None to keep none.
        search: Where the image that an object speaks of is looked for.
        max_frame_bytes: Bytes of the largest frame that is decoded.

    Returns:
        The source of the frames, which decodes on every core.
    """
    context = load_references(index, store, cache, search)
    return FrameSource(
        store=store,
        references=context.references,
        missing=context.missing,
        decoders=os.cpu_count() or 1,
        max_frame_bytes=max_frame_bytes,
    )


def build_search(
    index: SeriesIndex, cache: Cache | None, options: ImageVerbOptions, neighbours: tuple[SeriesPlace, ...]
) -> Search:
    """Say where the image that an object speaks of is looked for: among the finished rows of the cache too.

    Args:
        index: The series that is drawn.
        cache: The cache; None for none.
        options: What is drawn. Only `PreviewOptions` ask for the image.
        neighbours: Series that were found by the same scan.
    """
    if not isinstance(options, PreviewOptions):
        return Search()
    named = name_images(index)
    if named is None or cache is None or options.context == "off":
        return Search(mode=options.context, places=neighbours)
    from dsp_batch.references.finished import find_finished  # noqa: PLC0415  # loads what filters tables

    study = index.texts("StudyInstanceUID")[0]
    places = find_finished(cache, named, [study] if study else [])
    return Search(mode=options.context, places=(*neighbours, *places))


def render_preview(index: SeriesIndex, source: FrameSource, options: ImageVerbOptions, suffix: str) -> EncodedImage:
    """Draw what the options ask for: choose pictures, draw their tiles, make one image of them; or draw a card.

    Args:
        index: The series.
        source: Where its frames are read, and the series that it draws upon.
        options: The pictures, the grid and the contrast.
        suffix: As in `preview`.

    Raises:
        SeriesError: The series has nothing to draw, and the options ask for frames.
        OptionsError: The range holds nothing, or the image would be too large.
        PixelError: Nothing could be decoded.
        StorageError: The frames could not be read.
    """
    if isinstance(options, PreviewOptions):
        from dsp_batch.render.preview import draw_preview  # noqa: PLC0415  # cards, figures, overlays

        return draw_preview(index, source, options, suffix)
    if isinstance(options, CineOptions):
        from dsp_batch.render.cine import draw_cine  # noqa: PLC0415  # moving pictures

        return draw_cine(index, source, options, suffix)
    pictures = choose_pictures(index, source, options)
    tiles = draw_tiles(pictures, options.column_contrasts, lay_out_mosaic(index, options))
    return encode_tiles(tiles, suffix, options.quality)


def describe_index(index: SeriesIndex, *, describe: bool = True) -> dict[str, Any]:
    """Describe a series for its result row; names of persons are not among it.

    Args:
        index: The series.
        describe: False to leave out descriptions, dates and the patient's identifier.
    """
    first = index.attributes(0) if describe else withhold_descriptions(index.attributes(0))
    syntaxes = dict.fromkeys(syntax for syntax in index.values("TransferSyntaxUID") if syntax)
    return {
        "series_instance_uid": first.text("SeriesInstanceUID"),
        "study_instance_uid": first.text("StudyInstanceUID"),
        "modality": first.text("Modality"),
        "sop_class": first.text("SOPClassUID"),
        **{name: first.text(keyword) for name, keyword in _DESCRIPTIONS.items()},
        **{name: first.integer(keyword) for name, keyword in _NUMBERS.items()},
        "objects_digest": index.objects.get("digest"),
        "n_instances": len(index),
        "n_frames": sum(count or 0 for count in index.values("NumberOfFrames")),
        "transfer_syntax": "|".join(syntaxes) or None,
        "unit": describe_unit(first),
        "notes": join_notes(index.notes),
    }


def _open_series(  # noqa: PLR0913  # as in `preview`
    series: str | os.PathLike[str] | SeriesRef,
    root: str | os.PathLike[str],
    series_uid: str | None,
    endpoint_url: str | None,
    *,
    anonymous: bool | None,
    cache: Cache | None,
) -> tuple[SeriesRef, Store]:
    """Find a series, and open the store of the root that it was found in."""
    if isinstance(series, SeriesRef):
        ref = series
    else:
        ref = find_series(
            series, root=root, series_uid=series_uid, endpoint_url=endpoint_url, anonymous=anonymous, cache=cache
        )
    store = build_store(
        ref.root, endpoint_url=endpoint_url, manifest_endpoint_url=ref.endpoint_url, anonymous=anonymous
    )
    # An entry of a manifest names the folder that a scan found the series in, but not its objects.
    if ref.folder is not None and ref.objects is None:
        ref = find_again(ref, store)
    return ref, store


def _open_cache(cache: Cache | str | os.PathLike[str] | None) -> Cache | None:
    return cache if isinstance(cache, Cache | None) else open_cache(cache)
