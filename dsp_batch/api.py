"""One series from Python: find it, index it, draw it, in a call each.

A manifest is worked through by `dsp_batch.batch.run.run_batch`, or by the command `dsp-batch`.
"""

from __future__ import annotations

import os

from dsp_batch.cache import Cache, open_cache
from dsp_batch.fetch import load_index as load_index_of
from dsp_batch.index.parquet import SeriesIndex
from dsp_batch.model.frame import EncodedImage
from dsp_batch.model.series import SeriesRef
from dsp_batch.names import DEFAULT_ROOT, parse_series, resolve_series
from dsp_batch.options import ImageVerbOptions, MosaicOptions
from dsp_batch.pipeline import preview_series
from dsp_batch.storage.aws import resolve_endpoint
from dsp_batch.storage.public_buckets import place_root
from dsp_batch.storage.store import Store, build_store
from dsp_batch.storage.urls import normalise_root

_MOSAIC = MosaicOptions()


def find_series(
    series: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] = DEFAULT_ROOT,
    endpoint_url: str | None = None,
    anonymous: bool | None = None,
) -> SeriesRef:
    """Find the folder that the name of a series means.

    Args:
        series: A UUID, 32 hex digits, a prefix of them with `*`, a URL or path of the folder, or a SeriesInstanceUID;
            or a path object, which is always the folder.
        root: Where to look when the name does not say it: `s3://bucket`, `https://host/path`, a folder.
        endpoint_url: S3-compatible server; None for the environment's (`AWS_ENDPOINT_URL`), else AWS.
        anonymous: Whether requests go unsigned; None: for IDC's public buckets, and where there are no credentials.

    Returns:
        Root and folder. Only a prefix is listed, and a SeriesInstanceUID looked up: that a folder named in full is
        there shows when it is read.

    Raises:
        OptionsError: The text names no series; the message gives the accepted forms.
        StorageError: Nothing below the root begins with that prefix, or the root cannot be listed.

    Example:
        >>> find_series("38902E14B11F4548910E771EE757DC82").url
        's3://idc-open-data/38902e14-b11f-4548-910e-771ee757dc82'
    """
    endpoint = resolve_endpoint(endpoint_url)
    # A path is a folder here, whatever its name means elsewhere.
    text = series if isinstance(series, str) else os.path.join(os.curdir, series)  # noqa: PTH118  # keeps the dot
    name = parse_series(text, place_root(normalise_root(os.fspath(root)), endpoint), endpoint)
    return resolve_series(name, lambda place: build_store(place, endpoint_url=endpoint, anonymous=anonymous))


def load_index(
    series: str | os.PathLike[str] | SeriesRef,
    *,
    root: str | os.PathLike[str] = DEFAULT_ROOT,
    endpoint_url: str | None = None,
    anonymous: bool | None = None,
    cache: Cache | str | os.PathLike[str] | None = None,
) -> SeriesIndex:
    """Load the index of a series: every header element of every instance, in display order.

    Args:
        series: As in `find_series`, or an entry of a manifest.
        root: As in `find_series`.
        endpoint_url: As in `find_series`.
        anonymous: As in `find_series`.
        cache: Where indices are kept: a path, a URL, or from `open_cache`; None to neither read nor write any.

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
    ref, store = _open(series, root, endpoint_url, anonymous=anonymous)
    return load_index_of(ref, store, _open_cache(cache))


def preview(  # noqa: PLR0913  # what is drawn and where it is read, each by its name
    series: str | os.PathLike[str] | SeriesRef,
    options: ImageVerbOptions = _MOSAIC,
    *,
    root: str | os.PathLike[str] = DEFAULT_ROOT,
    endpoint_url: str | None = None,
    anonymous: bool | None = None,
    cache: Cache | str | os.PathLike[str] | None = None,
    suffix: str = ".webp",
) -> EncodedImage:
    """Draw a series: the same bytes as the commands write.

    Args:
        series: As in `find_series`, or an entry of a manifest.
        options: `MosaicOptions`, `ImageOptions` or `ContrastMosaicOptions`.
        root: As in `find_series`.
        endpoint_url: As in `find_series`.
        anonymous: As in `find_series`.
        cache: Where indices are kept: a path, a URL, or from `open_cache`; None to neither read nor write any.
        suffix: `.webp`, `.jpg` or `.jpeg`.

    Returns:
        The image file in `data`, and what it shows.

    Raises:
        OptionsError: The text names no series, or the options ask for frames that it has not.
        StorageError: The series is not there, or cannot be read.
        SeriesError: The series has no DICOM instance, or none with pixels.
        PixelError: No frame could be decoded.

    Example:
        >>> image = preview("series/fab43f47-d595-57c7-9ed5-b9ecd3d19919", MosaicOptions(tile_width=3))
        >>> image.n_tiles, image.width, image.height, image.data[8:12]
        (9, 384, 384, b'WEBP')
    """
    ref, store = _open(series, root, endpoint_url, anonymous=anonymous)
    return preview_series(ref, store, _open_cache(cache), options, suffix)


def _open(
    series: str | os.PathLike[str] | SeriesRef,
    root: str | os.PathLike[str],
    endpoint_url: str | None,
    *,
    anonymous: bool | None,
) -> tuple[SeriesRef, Store]:
    """The series, and the store of the root that it was found in."""
    ref = (
        series
        if isinstance(series, SeriesRef)
        else find_series(series, root=root, endpoint_url=endpoint_url, anonymous=anonymous)
    )
    store = build_store(
        ref.root, endpoint_url=endpoint_url, manifest_endpoint_url=ref.endpoint_url, anonymous=anonymous
    )
    return ref, store


def _open_cache(cache: Cache | str | os.PathLike[str] | None) -> Cache | None:
    return cache if isinstance(cache, Cache | None) else open_cache(cache)
