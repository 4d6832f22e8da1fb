"""The data of a lookup table tell how wide its entries are, whatever its descriptor declares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from datasets import DATA, make_attributes, needs_data, read_source
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.pixels.grayscale import describe_transform
from dsp_batch.dicom.pixels.luts import parse_lookup_table
from dsp_batch.dicom.pixels.palette import describe_palette
from dsp_batch.model.frame import LookupTable, PaletteTable
from dsp_batch.model.window import Window

declarations = st.sampled_from([0, 8, 10, 12, 14, 16, 32])


def table(entries: Sequence[int], declared: int, *, packed: bool = False) -> LookupTable:
    data = np.array(entries, np.uint8 if packed else "<u2").tobytes()
    item = {"LUTDescriptor": [len(entries), 0, declared], "LUTData": data + b"\0" * (len(data) % 2)}
    found = parse_lookup_table(Attributes(item), signed=False)
    assert found is not None
    return found


def palette(channels: Sequence[np.ndarray[Any, Any]], declared: int) -> PaletteTable:
    values: dict[str, Any] = {}
    for name, entries in zip(("Red", "Green", "Blue"), channels, strict=True):
        values[f"{name}PaletteColorLookupTableDescriptor"] = [len(entries), 0, declared]
        values[f"{name}PaletteColorLookupTableData"] = entries.tobytes()
    return describe_palette(make_attributes(PhotometricInterpretation="PALETTE COLOR", **values))


@settings(deadline=None)  # the machine may be busy
@given(width=st.integers(8, 16), declared=declarations, count=st.integers(3, 300))
def test_a_table_is_as_wide_as_its_largest_entry_under_any_declaration(width: int, declared: int, count: int) -> None:
    entries = np.linspace(0, 2**width - 1, count).round().astype(int).tolist()

    found = table(entries, declared)

    assert found.values.tolist() == entries
    assert found.bits == width
    assert bool(found.notes) == (declared not in (width, *([0, 32] if width == 16 else [])))


@settings(deadline=None)  # the machine may be busy
@given(declared=declarations, count=st.integers(3, 301))
def test_as_many_bytes_as_entries_are_entries_of_8_bits(declared: int, count: int) -> None:
    entries = np.linspace(0, 255, count).round().astype(int).tolist()

    found = table(entries, declared, packed=True)

    assert (found.values.tolist(), found.bits) == (entries, 8)


def test_a_dark_table_of_8_bits_stays_dark() -> None:
    assert table([0, 20, 40], 8).bits == 8
    assert table([0, 20, 40], 8).notes == ()


@settings(deadline=None)  # the machine may be busy
@given(declared=declarations, packed=st.booleans(), dim=st.booleans())
def test_a_palette_of_bytes_has_the_same_colors_under_any_declaration(
    declared: int, *, packed: bool, dim: bool
) -> None:
    red = np.arange(256) // (4 if dim else 1)
    channels = [red, np.zeros_like(red), red[::-1]]

    found = palette([channel.astype(np.uint8 if packed else "<u2") for channel in channels], declared)

    assert found.colors.tolist() == np.stack(channels, axis=1).tolist()


@settings(deadline=None)  # the machine may be busy
@given(declared=st.sampled_from([8, 16]), fill=st.sampled_from([0x100, 0x101]))
def test_a_palette_of_words_has_its_colors_in_the_high_byte(declared: int, fill: int) -> None:
    red = np.arange(256)
    channels = [red, red // 2, red[::-1]]

    found = palette([(channel * fill).astype("<u2") for channel in channels], declared)

    assert found.colors.tolist() == np.stack(channels, axis=1).tolist()


def test_a_palette_of_12_bits_in_words_is_not_black() -> None:
    ramp = np.arange(0, 4096, 16).astype("<u2")

    found = palette([ramp, ramp, ramp], 16)

    assert found.colors[-1].tolist() == [255, 255, 255]
    assert found.notes == ("Palette Color Lookup Table has entries of 12 bits, though 16 are declared",)


@pytest.mark.parametrize("declared", [8, 16])
@pytest.mark.parametrize("stored", [np.uint8, np.dtype("<u2")])
def test_a_segmented_palette_is_read_in_the_width_that_gives_all_its_entries(declared: int, stored: Any) -> None:
    full = 255 if stored == np.uint8 else 65535
    codes = np.array([0, 1, 0, 1, 199, full, 0, 2, 0, full, 0, 0, 0], stored)[
        :10
    ]  # one entry, 199 in line, two entries
    values: dict[str, Any] = {}
    for name in ("Red", "Green", "Blue"):
        values[f"{name}PaletteColorLookupTableDescriptor"] = [202, 0, declared]
        values[f"Segmented{name}PaletteColorLookupTableData"] = codes.tobytes()

    colors = describe_palette(make_attributes(**values)).colors[:, 0].tolist()

    assert (colors[0], colors[199], colors[200], colors[201]) == (0, 255, 0, 255)
    assert len(colors) == 202


@settings(deadline=None)  # the machine may be busy
@given(
    pairs=st.lists(
        st.tuples(st.none() | st.integers(-900, 900), st.none() | st.integers(1, 4000)), min_size=1, max_size=5
    )
)
def test_center_and_width_of_a_window_come_from_the_same_index(pairs: list[tuple[int | None, int | None]]) -> None:
    centers, widths = [center for center, _ in pairs], [width for _, width in pairs]

    voi = describe_transform(make_attributes(WindowCenter=centers, WindowWidth=widths)).voi

    whole = [(center, width) for center, width in pairs if center is not None and width is not None]
    found = (voi.center, voi.width) if isinstance(voi, Window) else None
    assert found == next(iter(whole), None)


@pytest.mark.parametrize(("center", "width"), [(40, 0), (40, -5), ("x", 80), (None, 80), (40, 10**400)])
def test_a_window_that_is_none_is_left_out_with_a_note(center: Any, width: Any) -> None:
    transform = describe_transform(make_attributes(WindowCenter=center, WindowWidth=width))

    assert transform.voi is None
    assert transform.notes == ("Window Center and Window Width make no window: left out",)
    assert describe_transform(make_attributes()).notes == ()


@needs_data
def test_palette_8_declared_16_stored() -> None:
    attributes, _, _ = read_source(DATA / "reports" / "palette-8-declared-16-stored" / "1.dcm")

    colors = describe_palette(attributes).colors

    assert colors[:, 0].tolist() == list(range(256))
    assert colors[:, 2].tolist() == list(range(255, -1, -1))


@needs_data
def test_voi_lut_16_declared_12_used() -> None:
    attributes, _, _ = read_source(DATA / "reports" / "voi-lut-16-declared-12-used" / "1.dcm")

    transform = describe_transform(attributes)

    assert isinstance(transform.voi, LookupTable)
    assert transform.voi.bits == 12
    assert transform.notes == ("VOI LUT has entries of 12 bits, though 16 are declared",)


@needs_data
def test_window_pair_torn() -> None:
    attributes, _, _ = read_source(DATA / "reports" / "window-pair-torn" / "1.dcm")

    assert describe_transform(attributes).voi == Window(center=-600, width=1600, function="LINEAR")
