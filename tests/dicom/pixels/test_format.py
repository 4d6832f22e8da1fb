from __future__ import annotations

from typing import Any

import numpy as np
import pydicom
import pytest
from datasets import DATA, attributes_of, make_attributes, needs_data
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.pixels.format import check_frame_size, describe_aspect, describe_pixels
from dsp_batch.dicom.pixels.grayscale import describe_transform
from dsp_batch.dicom.pixels.palette import describe_palette
from dsp_batch.errors import PixelError
from dsp_batch.model.frame import LookupTable
from dsp_batch.model.window import Window

EXPLICIT = "1.2.840.10008.1.2.1"


def window(**attributes: Any) -> Window | LookupTable | None:
    return describe_transform(make_attributes(**attributes), 0).voi


class TestPixelFormat:
    def test_says_what_the_header_says(self) -> None:
        pixels = describe_pixels(make_attributes(NumberOfFrames="7", PixelRepresentation=1), EXPLICIT)

        assert (pixels.rows, pixels.columns, pixels.number_of_frames) == (4, 6, 7)
        assert (pixels.bits_allocated, pixels.bits_stored, pixels.high_bit, pixels.signed) == (16, 12, 11, True)

    @pytest.mark.parametrize(
        ("attributes", "named"),
        [
            ({"Rows": None}, "Rows is absent"),
            ({"Rows": 0}, "Rows is 0"),
            ({"Columns": "wide"}, "Columns is no whole number"),
            ({"Columns": 65536}, "Columns is 65536"),
            ({"BitsAllocated": 65}, "BitsAllocated is 65"),
            ({"BitsStored": 17}, "BitsStored is 17 where BitsAllocated is 16"),
            ({"SamplesPerPixel": 2}, "SamplesPerPixel is 2"),
            ({"SamplesPerPixel": 1, "PhotometricInterpretation": "RGB"}, "SamplesPerPixel is 1"),
        ],
    )
    def test_an_impossible_attribute_is_named_with_its_value(self, attributes: dict[str, Any], named: str) -> None:
        with pytest.raises(PixelError, match=named):
            describe_pixels(make_attributes(**attributes), EXPLICIT)

    def test_absent_bits_are_completed(self) -> None:
        attributes = make_attributes(BitsStored=None, HighBit=None, PixelRepresentation=None, BitsAllocated=16)

        pixels = describe_pixels(attributes, EXPLICIT)

        assert (pixels.bits_stored, pixels.high_bit, pixels.signed, pixels.value_type) == (16, 15, False, "integer")

    @pytest.mark.parametrize("high_bit", [16, 5, -1])
    def test_a_high_bit_that_cannot_be_is_the_top_of_the_stored_bits(self, high_bit: int) -> None:
        assert describe_pixels(make_attributes(HighBit=high_bit), EXPLICIT).high_bit == 11

    @pytest.mark.parametrize("bits", [32, 64])
    def test_pixels_without_integer_attributes_are_floats(self, bits: int) -> None:
        attributes = make_attributes(BitsAllocated=bits, BitsStored=None, HighBit=None, PixelRepresentation=None)

        assert describe_pixels(attributes, EXPLICIT).value_type == "float"

    def test_dose_of_32_bit_is_no_float(self) -> None:
        attributes = make_attributes(BitsAllocated=32, BitsStored=32, HighBit=31)

        assert describe_pixels(attributes, EXPLICIT).value_type == "integer"

    def test_a_gigantic_frame_is_refused_before_memory_is_taken(self) -> None:
        pixels = describe_pixels(make_attributes(Rows=65535, Columns=65535), EXPLICIT)
        with pytest.raises(PixelError, match=r"65535 rows.*--max-frame-mb") as caught:
            check_frame_size(pixels)

        assert caught.value.reason == "too-large"
        check_frame_size(pixels, 65535 * 65535 * 2)

    def test_the_limit_is_of_the_decoded_frame(self) -> None:
        pixels = describe_pixels(make_attributes(), EXPLICIT)
        with pytest.raises(PixelError):
            check_frame_size(pixels, 47)

        check_frame_size(pixels, 48)

    def test_samples_and_photometric_complete_each_other(self) -> None:
        assert describe_pixels(make_attributes(SamplesPerPixel=None, PhotometricInterpretation="YBR_FULL"), "").is_color
        assert describe_pixels(make_attributes(SamplesPerPixel=3), EXPLICIT).photometric == "RGB"
        assert describe_pixels(make_attributes(PhotometricInterpretation=None), EXPLICIT).photometric == "MONOCHROME2"
        palette = describe_pixels(make_attributes(PhotometricInterpretation="PALETTE COLOR"), EXPLICIT)
        assert (palette.photometric, palette.samples_per_pixel) == ("PALETTE COLOR", 1)


class TestWindow:
    def test_the_first_of_several_windows_counts(self) -> None:
        voi = window(WindowCenter=["40", "-600"], WindowWidth=["400", "1500"])

        assert voi == Window(center=40, width=400, function="LINEAR")

    @pytest.mark.parametrize("width", [0, -5, float("nan"), float("inf"), "wide", None])
    def test_a_width_that_is_none_is_no_window(self, width: Any) -> None:
        assert window(WindowCenter=40, WindowWidth=width) is None

    @pytest.mark.parametrize("function", ["LINEAR_EXACT", "SIGMOID", "LINEAR"])
    def test_the_function_is_the_objects(self, function: str) -> None:
        voi = window(WindowCenter=40, WindowWidth=400, VOILUTFunction=function)

        assert isinstance(voi, Window)
        assert voi.function == function

    def test_a_linear_width_below_one_is_exact(self) -> None:
        assert window(WindowCenter=0.5, WindowWidth=0.8) == Window(center=0.5, width=0.8, function="LINEAR_EXACT")

    def test_a_linear_width_of_one_is_exact_only_where_values_are_fractions(self) -> None:
        on_integers = window(WindowCenter=1, WindowWidth=1, RescaleSlope=2, RescaleIntercept=-1024)
        on_fractions = window(WindowCenter=1, WindowWidth=1, RescaleSlope="0.5", RescaleIntercept=0)
        on_floats = window(WindowCenter=1, WindowWidth=1, BitsAllocated=32, BitsStored=None)

        assert [voi.function for voi in (on_integers, on_fractions, on_floats) if isinstance(voi, Window)] == [
            "LINEAR",
            "LINEAR_EXACT",
            "LINEAR_EXACT",
        ]

    def test_a_frame_has_its_own_window_before_the_instances(self) -> None:
        groups = [
            Attributes({"FrameVOILUTSequence": [Attributes({"WindowCenter": center, "WindowWidth": 10})]})
            for center in (1, 2)
        ]
        attributes = make_attributes(PerFrameFunctionalGroupsSequence=groups, WindowCenter=50, WindowWidth=10)

        centers = [describe_transform(attributes, frame).voi for frame in range(3)]

        assert [voi.center for voi in centers if isinstance(voi, Window)] == [1, 2, 50]


class TestLookupTables:
    @pytest.mark.parametrize(
        ("representation", "first", "expected"),
        [(0, 65000, 65000), (1, 65000, -536), (1, -536, -536), (0, -536, 65000)],
    )
    def test_the_first_mapped_value_has_the_sign_of_the_pixels(
        self, representation: int, first: int, expected: int
    ) -> None:
        item = Attributes({"LUTDescriptor": [2, first, 16], "LUTData": [10, 20]})
        attributes = make_attributes(ModalityLUTSequence=[item], PixelRepresentation=representation)

        table = describe_transform(attributes, 0).modality_lut

        assert table is not None
        assert table.first_value == expected

    def test_a_voi_table_of_values_below_zero_has_a_signed_first_value(self) -> None:
        item = Attributes({"LUTDescriptor": [2, 64512, 8], "LUTData": [10, 20]})

        table = window(VOILUTSequence=[item], RescaleSlope=1, RescaleIntercept=-1024)

        assert isinstance(table, LookupTable)
        assert table.first_value == -1024

    @pytest.mark.parametrize("data", [[1, 2, 3], b"\x01\x00\x02\x00\x03\x00", b"\x01\x02\x03\x00", [0x0201, 0x0003]])
    def test_data_may_be_words_or_packed_bytes(self, data: Any) -> None:
        item = Attributes({"LUTDescriptor": [3, 0, 8], "LUTData": data})

        table = window(VOILUTSequence=[item])

        assert isinstance(table, LookupTable)
        assert table.values.tolist() == [1, 2, 3]
        assert table.bits == 8

    def test_zero_entries_are_65536(self) -> None:
        item = Attributes({"LUTDescriptor": [0, 0, 16], "LUTData": np.arange(65536, dtype="<u2").tobytes()})

        table = window(VOILUTSequence=[item])

        assert isinstance(table, LookupTable)
        assert len(table.values) == 65536

    def test_the_voi_table_goes_before_the_window(self) -> None:
        item = Attributes({"LUTDescriptor": [3, 0, 8], "LUTData": [1, 2, 3]})

        assert isinstance(window(VOILUTSequence=[item], WindowCenter=1, WindowWidth=2), LookupTable)

    @pytest.mark.parametrize("item", [{}, {"LUTDescriptor": [3, 0, 8]}, {"LUTDescriptor": [3, 0], "LUTData": [1]}])
    def test_a_damaged_table_gives_way_to_the_window(self, item: dict[str, Any]) -> None:
        voi = window(VOILUTSequence=[Attributes(item)], WindowCenter=1, WindowWidth=2)

        assert voi == Window(center=1, width=2, function="LINEAR")

    def test_a_modality_table_takes_the_place_of_the_slope(self) -> None:
        item = Attributes({"LUTDescriptor": [2, 0, 16], "LUTData": [10, 20]})

        transform = describe_transform(make_attributes(ModalityLUTSequence=[item], RescaleSlope=3), 0)

        assert transform.modality_lut is not None
        assert (transform.slope, transform.intercept) == (1, 0)


class TestModality:
    def test_a_frame_has_its_own_slope(self) -> None:
        item = Attributes({"RescaleSlope": "0.5", "RescaleIntercept": "3"})
        group = Attributes({"PixelValueTransformationSequence": [item]})

        transform = describe_transform(make_attributes(PerFrameFunctionalGroupsSequence=[group], RescaleSlope=7), 0)

        assert (transform.slope, transform.intercept) == (0.5, 3)

    def test_a_slope_of_zero_would_erase_the_image_and_is_left_out(self) -> None:
        transform = describe_transform(make_attributes(RescaleSlope=0, RescaleIntercept=5), 0)

        assert (transform.slope, transform.intercept) == (1, 0)

    def test_a_real_world_value_map_counts_where_it_is_the_only_unit(self) -> None:
        mapping = Attributes({"RealWorldValueSlope": 0.01, "RealWorldValueIntercept": -2.0})
        group = Attributes({"RealWorldValueMappingSequence": [mapping]})
        shared = {"SharedFunctionalGroupsSequence": [group]}

        alone = describe_transform(make_attributes(**shared), 0)
        with_window = describe_transform(make_attributes(**shared, WindowCenter=100, WindowWidth=50), 0)
        with_slope = describe_transform(make_attributes(**shared, RescaleSlope=2), 0)

        assert (alone.slope, alone.intercept) == (0.01, -2)
        assert (with_window.slope, with_slope.slope) == (1, 2)


class TestPolarity:
    @pytest.mark.parametrize(
        ("photometric", "shape", "inverted"),
        [
            ("MONOCHROME1", None, True),
            ("MONOCHROME1", "INVERSE", True),
            ("MONOCHROME1", "IDENTITY", False),
            ("MONOCHROME2", None, False),
            ("MONOCHROME2", "IDENTITY", False),
            ("MONOCHROME2", "INVERSE", True),
            ("MONOCHROME1", "LIN OD", True),
        ],
    )
    def test_low_values_are_white_once(self, photometric: str, shape: str | None, inverted: bool) -> None:  # noqa: FBT001  # a table's column
        attributes = make_attributes(PhotometricInterpretation=photometric, PresentationLUTShape=shape)

        assert describe_transform(attributes, 0).inverted is inverted


class TestPadding:
    @pytest.mark.parametrize(
        ("representation", "value", "limit", "expected"),
        [
            (1, -2000, None, (-2000, -2000)),
            (1, 63536, None, (-2000, -2000)),
            (0, -2000, None, (63536, 63536)),
            (0, 0, 30, (0, 30)),
            (1, -1000, -2000, (-2000, -1000)),
        ],
    )
    def test_is_a_range_of_stored_values_with_their_sign(
        self, representation: int, value: int, limit: int | None, expected: tuple[int, int]
    ) -> None:
        attributes = make_attributes(
            PixelRepresentation=representation, PixelPaddingValue=value, PixelPaddingRangeLimit=limit
        )

        assert describe_transform(attributes, 0).padding == expected

    def test_of_floats_is_a_float(self) -> None:
        assert describe_transform(make_attributes(FloatPixelPaddingValue=-1.5), 0).padding == (-1.5, -1.5)

    def test_is_none_where_it_is_not_given(self) -> None:
        assert describe_transform(make_attributes(), 0).padding is None


class TestAspect:
    @pytest.mark.parametrize(
        ("attributes", "expected"),
        [
            ({}, 1.0),
            ({"PixelSpacing": [2.0, 0.5]}, 4.0),
            ({"PixelSpacing": [2.0, 0.5], "PixelAspectRatio": [1, 1]}, 4.0),
            ({"ImagerPixelSpacing": [0.1, 0.2]}, 0.5),
            ({"NominalScannedPixelSpacing": [3, 1]}, 3.0),
            ({"PixelAspectRatio": [4, 3]}, 4 / 3),
            ({"PixelSpacing": [0.0, 1.0], "PixelAspectRatio": [2, 1]}, 2.0),
            ({"PixelSpacing": [1.0]}, 1.0),
            ({"PixelSpacing": [-1.0, 1.0]}, 1.0),
            ({"PixelSpacing": [1000.0, 1.0]}, 1.0),
            ({"PixelSpacing": [1.0, float("nan")]}, 1.0),
        ],
    )
    def test_is_row_spacing_over_column_spacing(self, attributes: dict[str, Any], expected: float) -> None:
        assert describe_aspect(make_attributes(**attributes), 0) == pytest.approx(expected)

    def test_pixel_measures_go_first(self) -> None:
        group = Attributes({"PixelMeasuresSequence": [Attributes({"PixelSpacing": [3.0, 1.0]})]})

        attributes = make_attributes(SharedFunctionalGroupsSequence=[group], PixelSpacing=[1, 1])

        assert describe_aspect(attributes, 5) == 3

    @staticmethod
    def region(delta_x: float, delta_y: float, units: int = 3, spatial_format: int = 1) -> Attributes:
        return Attributes(
            {
                "RegionSpatialFormat": spatial_format,
                "PhysicalUnitsXDirection": units,
                "PhysicalUnitsYDirection": units,
                "PhysicalDeltaX": delta_x,
                "PhysicalDeltaY": delta_y,
            }
        )

    def test_ultrasound_regions_count_where_they_agree(self) -> None:
        m_mode = self.region(0.001, 0.0, units=4, spatial_format=2)
        same = make_attributes(SequenceOfUltrasoundRegions=[self.region(0.05, -0.04), m_mode])
        different = make_attributes(SequenceOfUltrasoundRegions=[self.region(0.05, 0.04), self.region(0.05, 0.05)])

        assert describe_aspect(same, 0) == pytest.approx(0.8)
        assert describe_aspect(different, 0) == 1


def palette_attributes(bits: int = 16, entries: int = 4, **data: Any) -> Attributes:
    values: dict[str, Any] = {}
    for color in ("Red", "Green", "Blue"):
        values[f"{color}PaletteColorLookupTableDescriptor"] = [entries, data.get("first", 0), bits]
        values[f"{data.get('kind', '')}{color}PaletteColorLookupTableData"] = data[color.lower()]
    return make_attributes(**values, PixelRepresentation=data.get("representation", 0))


class TestPalette:
    @pytest.mark.parametrize(
        "data",
        [
            np.array([0, 0x7F00, 0xAB00, 0xFF00], "<u2").tobytes(),
            [0, 0x7F00, 0xAB00, 0xFF00],
            [0, 0x7FFF, 0xABCD, 0xFFFF],
            [0, 0x7F, 0xAB, 0xFF],
        ],
    )
    def test_sixteen_bit_entries_are_reduced_to_eight(self, data: Any) -> None:
        palette = describe_palette(palette_attributes(red=data, green=data, blue=data))

        assert palette.colors.tolist() == [[value] * 3 for value in (0, 0x7F, 0xAB, 0xFF)]

    @pytest.mark.parametrize("data", [b"\x00\x10\x20\xff", [0x1000, 0xFF20], [0x00, 0x10, 0x20, 0xFF]])
    def test_eight_bit_entries_may_be_packed(self, data: Any) -> None:
        palette = describe_palette(palette_attributes(bits=8, red=data, green=data, blue=data))

        assert palette.colors[:, 1].tolist() == [0x00, 0x10, 0x20, 0xFF]

    def test_the_first_value_is_signed_as_the_pixels(self) -> None:
        data = [1, 2, 3, 4]

        palette = describe_palette(palette_attributes(first=65526, representation=1, red=data, green=data, blue=data))

        assert palette.first_value == -10

    def test_segments_expand(self) -> None:
        # discrete 0 and 10; linear in 2 steps to 40; then the first two segments again, by their byte offset 0
        codes = [0, 2, 0, 10, 1, 2, 40, 2, 2, 0, 0]
        data = np.array([c * 256 if c in (10, 40) else c for c in codes], "<u2").tobytes()

        palette = describe_palette(palette_attributes(entries=8, kind="Segmented", red=data, green=data, blue=data))

        assert palette.colors[:, 0].tolist() == [0, 10, 25, 40, 0, 10, 25, 40]

    def test_eight_bit_segments_expand(self) -> None:
        data = bytes([0, 2, 0, 10, 1, 2, 40, 0])

        palette = describe_palette(palette_attributes(8, 4, kind="Segmented", red=data, green=data, blue=data))

        assert palette.colors[:, 2].tolist() == [0, 10, 25, 40]

    @pytest.mark.parametrize("codes", [[1, 2, 40], [9, 1, 1], [0, 50, 1], [0, 1, 5, 2, 9, 6, 0]])
    def test_damaged_segments_are_an_error_that_names_them(self, codes: list[int]) -> None:
        data = np.array(codes, "<u2").tobytes()

        with pytest.raises(PixelError, match="SegmentedRedPaletteColorLookupTableData"):
            describe_palette(palette_attributes(entries=64, kind="Segmented", red=data, green=data, blue=data))

    def test_an_absent_palette_is_an_error_that_names_it(self) -> None:
        with pytest.raises(PixelError, match="RedPaletteColorLookupTableDescriptor"):
            describe_palette(make_attributes())

    @needs_data
    @pytest.mark.parametrize("series", ["be967930", "e2d025ee", "200d8e8c", "b33c35dc", "80ff0609"])
    def test_real_palettes_are_those_of_pydicom(self, series: str) -> None:
        path = next(next(DATA.glob(f"series/{series}*")).iterdir())
        dataset = pydicom.dcmread(path)

        dataset.pop("PixelPresentation", None)  # pydicom refuses supplemental palettes by it
        palette = describe_palette(attributes_of(dataset))

        entries, first = dataset.RedPaletteColorLookupTableDescriptor[:2]
        values = np.arange(first, first + (entries or 65536), dtype=np.uint16)
        expected = pydicom.pixels.processing.apply_color_lut(values.reshape(1, -1), dataset)[0]
        shift = 8 if expected.max() > 255 else 0
        assert (palette.colors == expected >> shift).all()


@needs_data
@pytest.mark.parametrize(
    ("series", "values"),
    [("a126b07c", (-2048, 2047)), ("4aea28e2", (0, 1023)), ("35552dfe", (0, 255)), ("a6815aa5", (0, 4095))],
)
def test_real_lookup_tables_are_those_of_pydicom(series: str, values: tuple[int, int]) -> None:
    dataset = pydicom.dcmread(next(next(DATA.glob(f"series/{series}*")).iterdir()))
    transform = describe_transform(attributes_of(dataset), 0)
    table = transform.modality_lut or transform.voi
    stored = np.arange(values[0], values[1] + 1, dtype=np.int16)

    expected = apply_modality_lut(stored, dataset) if transform.modality_lut else apply_voi_lut(stored, dataset)

    assert isinstance(table, LookupTable)
    entries = np.clip(stored - table.first_value, 0, len(table.values) - 1)
    assert (table.values[entries] == expected).all()


def test_an_empty_header_is_an_error_not_a_crash() -> None:
    attributes = attributes_of(Dataset())

    with pytest.raises(PixelError):
        describe_pixels(attributes, EXPLICIT)
    assert describe_transform(attributes, 0).slope == 1
    assert describe_aspect(attributes, 0) == 1
