"""Slides whose smallest level is large: what is read of them, and what is refused."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slides import cut_tiles, frames_of, make_slide
from written_objects import make_dataset, write_dataset

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.errors import SeriesError
from dsp_batch.kinds.kind import Contents
from dsp_batch.kinds.slide import MAX_SAMPLED_TILES, MAX_STORED_BYTES, SLIDE
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import MosaicOptions
from dsp_batch.pipeline import draw_series
from dsp_batch.storage.store import Store
from dsp_batch.storage.usage import measure_usage


def test_a_slide_of_nothing_but_a_label_is_refused_in_these_words() -> None:
    with pytest.raises(SeriesError, match="holds nothing but a LABEL") as caught:
        SLIDE.list_pictures(Contents(instances={0: make_slide("LABEL", 30, 30), 3: make_slide("LABEL", 30, 30)}))

    assert caught.value.reason == "no-pixels"


@pytest.mark.parametrize(
    ("size", "n_tiles"), [(MAX_STORED_BYTES, 14 * 12), (MAX_STORED_BYTES + 1, 13 * 11), (2 * MAX_STORED_BYTES, 9 * 8)]
)
def test_a_level_is_small_enough_by_its_bytes_and_drawn_from_some_of_its_tiles_where_it_is_not(
    size: int, n_tiles: int
) -> None:
    level = make_slide("VOLUME", 7000, 6000, 500)
    contents = Contents(instances={0: make_slide("LABEL", 30, 30), 1: level}, sizes={0: 1000, 1: size})

    (picture,) = SLIDE.list_pictures(contents)

    assert {ref.instance for ref in picture.frames} == {1}
    assert len(picture.frames) == n_tiles
    whole = "168 tiles are drawn: the smallest level of the slide has"
    assert [note.partition(" of ")[2].startswith(whole) for note in picture.notes] == [True] * (n_tiles < 168)


@settings(deadline=None)
@given(
    down=st.integers(1, 60),
    across=st.integers(1, 60),
    planes=st.integers(1, 3),
    size=st.integers(MAX_STORED_BYTES + 1, 100 * MAX_STORED_BYTES),
)
def test_tiles_of_a_large_level_are_as_many_as_the_limit_allows_and_evenly_spread(
    down: int, across: int, planes: int, size: int
) -> None:
    level = make_slide("VOLUME", 4 * down, 4 * across, NumberOfFrames=down * across * planes)
    (picture,) = SLIDE.list_pictures(Contents(instances={0: level}, sizes={0: planes * size}))

    most = max(min(MAX_SAMPLED_TILES, down * across * MAX_STORED_BYTES // size), 1)
    assert 1 <= len(picture.frames) <= most
    assert len(set(picture.frames)) == len(picture.frames)
    rows, columns = picture.matrix[0] // 4, picture.matrix[1] // 4
    assert len(picture.frames) == rows * columns
    assert columns in (max(round(rows * across / down), 1), most)
    assert (rows + 1) * max(round((rows + 1) * across / down), 1) > most
    for lines, count in (
        ({r.frame // across for r in picture.frames}, down),
        ({r.frame % across for r in picture.frames}, across),
    ):
        gaps = np.diff([-1, *sorted(lines), count])
        assert gaps[1:-1].max(initial=0) - gaps[1:-1].min(initial=count) <= 1


def test_a_sparse_level_with_few_tiles_is_sampled_too() -> None:
    groups = [
        Attributes(
            {
                "PlanePositionSlideSequence": [
                    Attributes(
                        {
                            "RowPositionInTotalImagePixelMatrix": 1 + 4 * k,
                            "ColumnPositionInTotalImagePixelMatrix": 1 + 4 * k,
                        }
                    )
                ]
            }
        )
        for k in range(20)
    ]
    level = make_slide(
        "VOLUME",
        80,
        80,
        DimensionOrganizationType="TILED_SPARSE",
        NumberOfFrames=20,
        PerFrameFunctionalGroupsSequence=groups,
    )

    (picture,) = SLIDE.list_pictures(Contents(instances={0: level}, sizes={0: 30 * MAX_STORED_BYTES}))

    assert 1 <= len(picture.frames) <= 1


def test_a_level_of_many_pixels_is_thinned_out() -> None:
    image = np.random.default_rng(0).integers(0, 256, (10, 7, 3)).astype(np.uint8)
    attributes = make_slide("VOLUME", 10, 7)
    (whole,) = SLIDE.list_pictures(Contents(instances={0: attributes}))
    frames = frames_of(cut_tiles(image, 4))

    for step in (2, 3, 5):
        drawn = SLIDE.compose(replace(whole, step=step), attributes, frames)
        assert (drawn.values == image[::step, ::step]).all()

    (large,) = SLIDE.list_pictures(Contents(instances={0: make_slide("VOLUME", 9000, 8000, 500)}, sizes={0: 1000}))
    assert (large.matrix, large.step) == ((9000, 8000), 3)


@pytest.mark.parametrize("matrix", [(2**31 - 1, 2**31 - 1), (1, 2**31 - 1), (2**31 - 1, 1)])
@pytest.mark.parametrize("size", [1000, 30 * MAX_STORED_BYTES])
def test_a_matrix_that_no_slide_has_takes_no_memory(matrix: tuple[int, int], size: int) -> None:
    position = {"RowPositionInTotalImagePixelMatrix": 1, "ColumnPositionInTotalImagePixelMatrix": 1}
    level = make_slide(
        "VOLUME",
        *matrix,
        tile=1,
        DimensionOrganizationType="TILED_SPARSE",
        NumberOfFrames=1,
        PerFrameFunctionalGroupsSequence=[Attributes({"PlanePositionSlideSequence": [Attributes(position)]})],
    )

    (picture,) = SLIDE.list_pictures(Contents(instances={0: level}, sizes={0: size}))
    drawn = SLIDE.compose(picture, level, frames_of({0: np.zeros((1, 1, 3), np.uint8)}))

    assert len(picture.frames) == 1
    assert drawn.values.nbytes < 60_000_000


def write_slide(path: Path, tiles: int) -> None:
    """Write a slide of tiles × tiles tiles of 256 × 256 black pixels, most of which are a hole in the file."""
    dataset = make_dataset(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.6",
        ImageType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
        SamplesPerPixel=3,
        PhotometricInterpretation="RGB",
        PlanarConfiguration=0,
        Rows=256,
        Columns=256,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        PixelRepresentation=0,
        NumberOfFrames=tiles**2,
        TotalPixelMatrixRows=256 * tiles,
        TotalPixelMatrixColumns=256 * tiles,
        DimensionOrganizationType="TILED_FULL",
    )
    length = 256 * 256 * 3 * tiles**2
    header = write_dataset(dataset) + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, length)
    path.parent.mkdir()
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + length)


def test_a_slide_whose_only_level_is_large_is_drawn_and_little_of_it_is_read(tmp_path: Path) -> None:
    write_slide(tmp_path / "series" / "1.dcm", 20)
    store = Store(str(tmp_path))
    with measure_usage() as usage:
        image = draw_series(SeriesRef(root=store.root, series_uuid="series"), store, None, MosaicOptions(), ".webp")

    assert (image.n_tiles, image.failures) == (1, ())
    assert image.notes == ("324 of 400 tiles are drawn: the smallest level of the slide has 75 MB",)
    assert usage.bytes_read < MAX_STORED_BYTES + 100_000
