"""What a notebook and a data frame show of an index and of a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dsp_batch import EncodedImage, MosaicOptions, SeriesIndex, load_index, preview
from dsp_batch.core.encoding import encode_image
from dsp_batch.errors import OptionsError, SinkError
from dsp_batch.phantom.series import build_ct, write_collection


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("series")
    write_collection(folder, [build_ct(count=7, size=32)])
    return folder


@pytest.fixture(scope="module")
def index(root: Path) -> SeriesIndex:
    return load_index(build_ct(count=7, size=32).series_uuid, root=root, cache=None)


@pytest.fixture(scope="module")
def image(root: Path) -> EncodedImage:
    return preview(build_ct(count=7, size=32).series_uuid, MosaicOptions(image_width=16), root=root, cache=None)


def test_a_frame_has_what_varies_and_what_is_the_same(index: SeriesIndex) -> None:
    frame = index.to_pandas()

    assert len(frame) == 7
    assert set(frame["Modality"]) == {"CT"}
    assert frame["InstanceNumber"].tolist() == index.values("InstanceNumber")
    assert frame["PixelSpacing"][0] == index.values("PixelSpacing")[0]
    assert list(index.to_pandas(["Modality", "Index"])) == ["Modality", "Index"]


def test_an_unknown_keyword_is_refused_with_a_suggestion(index: SeriesIndex) -> None:
    with pytest.raises(OptionsError, match="did you mean Modality"):
        index.to_pandas(["Modalty"])


def test_an_index_prints_in_a_line_and_shows_a_small_table(index: SeriesIndex) -> None:
    assert repr(index).startswith(f"SeriesIndex({index.series_uuid}: CT, 7 instances, ")
    assert "\n" not in repr(index)
    assert index._repr_html_().count("<tr>") == 6
    assert "and 2 more" in index._repr_html_()


def test_a_picture_prints_in_a_line_and_shows_itself(image: EncodedImage) -> None:
    assert repr(image) == f"EncodedImage(image/webp: 96 × 96 pixels, 7 tiles, {len(image.data):,} bytes)"
    bundle = image._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html", "image/webp"}
    assert bundle["image/webp"] in bundle["text/html"]


def test_a_picture_becomes_an_array_and_an_image_of_pillow(image: EncodedImage) -> None:
    assert image.to_numpy().shape == (96, 96, 3)
    assert image.to_numpy().dtype == np.uint8
    assert image.to_pil().size == (96, 96)


def test_a_picture_is_saved_as_what_it_is(image: EncodedImage, tmp_path: Path) -> None:
    image.save(tmp_path / "a.WEBP")
    assert (tmp_path / "a.WEBP").read_bytes() == image.data
    with pytest.raises(OptionsError, match=r"image/webp: end .* in \.webp"):
        image.save(tmp_path / "a.jpg")
    with pytest.raises(SinkError, match="cannot write"):
        image.save(tmp_path / "missing" / "a.webp")

    jpeg = EncodedImage(data=encode_image(image.to_numpy(), ".jpg", 80), width=96, height=96, n_tiles=7)
    jpeg.save(tmp_path / "a.jpeg")
    assert "image/jpeg" in jpeg._repr_mimebundle_()
