from __future__ import annotations

from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from datasets import DATA, attributes_of, decode_file, make_attributes, needs_data
from PIL import ImageCms
from slides import cut_tiles, frames_of, make_slide, stored
from written_segmentations import segment_planes

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.pixels.color import convert_from_lab
from dsp_batch.dicom.pixels.format import describe_aspect
from dsp_batch.dicom.pixels.grayscale import describe_transform
from dsp_batch.dicom.pixels.profiles import convert_to_srgb, describe_profile, find_profile
from dsp_batch.dicom.sop_classes import lacks_pixels, sop_class_name
from dsp_batch.errors import PixelError
from dsp_batch.kinds.composed import COMPOSED_KINDS
from dsp_batch.kinds.kind import PLAIN, Contents, Picture
from dsp_batch.kinds.maps import DOSE, PARAMETRIC_MAP, describe_unit
from dsp_batch.kinds.registry import COMPOSED_CLASSES, find_kind
from dsp_batch.kinds.segmentation import SEGMENTATION
from dsp_batch.kinds.slide import MAX_STITCHED, SLIDE
from dsp_batch.model.series import FrameRef, StoredArray

CT, SEG, LABEL_MAP, SM, DOSE_GRID, MAP, SR = (
    f"1.2.840.10008.5.1.4.1.1.{number}" for number in ("2", "66.4", "66.7", "77.1.6", "481.2", "30", "88.33")
)


class TestRegistry:
    @pytest.mark.parametrize(
        ("uid", "drawer"),
        [
            (CT, PLAIN),
            (SEG, SEGMENTATION),
            (LABEL_MAP, SEGMENTATION),
            (SM, SLIDE),
            (DOSE_GRID, DOSE),
            (MAP, PARAMETRIC_MAP),
        ],
    )
    def test_a_sop_class_has_a_drawer(self, uid: str, drawer: Any) -> None:
        assert find_kind(uid) is drawer

    def test_what_nobody_knows_is_a_plain_image(self) -> None:
        assert find_kind("1.2.3") is PLAIN
        assert find_kind("") is PLAIN

    def test_every_class_of_composed_images_is_known_before_their_kinds_are_loaded(self) -> None:
        assert COMPOSED_KINDS.keys() == COMPOSED_CLASSES

    def test_names_are_those_of_the_standard(self) -> None:
        assert sop_class_name(CT) == "CT Image Storage"
        assert sop_class_name(LABEL_MAP) == "Label Map Segmentation Storage"
        assert sop_class_name("1.2.3") == "1.2.3"

    def test_no_drawn_class_lacks_pixels(self) -> None:
        assert not any(lacks_pixels(uid) for uid in (CT, SEG, LABEL_MAP, SM, DOSE_GRID, MAP))
        assert lacks_pixels(SR)


class TestPlain:
    def test_each_frame_of_each_instance_is_a_picture(self) -> None:
        instances = {4: make_attributes(), 7: make_attributes(NumberOfFrames=2)}

        pictures = PLAIN.list_pictures(Contents(instances=instances))

        assert [[ref[:2] for ref in picture.frames] for picture in pictures] == [[(4, 0)], [(7, 0)], [(7, 1)]]

    def test_the_frame_comes_back_as_it_is(self) -> None:
        frames = frames_of({3: [[1, 2]]})

        assert PLAIN.compose(Picture(frames=(FrameRef(0, 3),)), make_attributes(), frames) is frames[FrameRef(0, 3)]


class TestColors:
    @pytest.mark.parametrize(
        ("lab", "rgb"),
        [
            ((0, 0x8080, 0x8080), (0, 0, 0)),
            ((0xFFFF, 0x8080, 0x8080), (255, 255, 255)),
            ((0x8000, 0x8080, 0x8080), (119,) * 3),
        ],
    )
    def test_gray_stays_gray(self, lab: tuple[int, int, int], rgb: tuple[int, int, int]) -> None:
        assert convert_from_lab(lab) == rgb

    @pytest.mark.parametrize("rgb", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 120, 60), (12, 34, 56)])
    def test_colors_come_back_from_highdicom(self, rgb: tuple[int, int, int]) -> None:
        lab = highdicom.color.CIELabColor.from_rgb(*rgb).value

        assert np.abs(np.subtract(convert_from_lab(lab), rgb)).max() <= 3


def segment(number: int, lab: tuple[int, int, int] | None) -> Attributes:
    return Attributes({"SegmentNumber": number, "RecommendedDisplayCIELabValue": list(lab) if lab else None})


def make_segmentation(kind: str, frames: list[tuple[float, int]], **values: Any) -> Attributes:
    """A segmentation of frames (z, segment number); segment 1 is white, segment 2 mid-gray, 3 has no color."""
    groups = [
        Attributes(
            {
                "PlanePositionSequence": [Attributes({"ImagePositionPatient": [0.0, 0.0, z]})],
                "SegmentIdentificationSequence": [Attributes({"ReferencedSegmentNumber": number})],
            }
        )
        for z, number in frames
    ]
    segments = [segment(1, (0xFFFF, 0x8080, 0x8080)), segment(2, (0x8000, 0x8080, 0x8080)), segment(3, None)]
    return make_attributes(
        SegmentationType=kind,
        NumberOfFrames=len(frames),
        PerFrameFunctionalGroupsSequence=groups,
        SegmentSequence=segments,
        **values,
    )


class TestSegmentation:
    def test_frames_at_one_position_are_one_picture(self) -> None:
        attributes = make_segmentation("BINARY", [(0, 1), (5, 1), (0.001, 2), (10, 3)])

        pictures = SEGMENTATION.list_pictures(Contents(instances={2: attributes}))

        assert [[ref[:2] for ref in picture.frames] for picture in pictures] == [[(2, 0), (2, 2)], [(2, 1)], [(2, 3)]]

    def test_frames_of_one_tile_of_a_slide_are_one_picture(self) -> None:
        tiles = [(1, 1), (1, 257), (1, 1), (257, 1)]
        names = ("RowPositionInTotalImagePixelMatrix", "ColumnPositionInTotalImagePixelMatrix")
        groups = [
            Attributes({"PlanePositionSlideSequence": [Attributes(dict(zip(names, tile, strict=True)))]})
            for tile in tiles
        ]
        attributes = make_attributes(NumberOfFrames=5, PerFrameFunctionalGroupsSequence=groups)

        pictures = SEGMENTATION.list_pictures(Contents(instances={0: attributes}))

        found = [[ref[:2] for ref in picture.frames] for picture in pictures]
        assert found == [[(0, 0), (0, 2)], [(0, 1)], [(0, 3)], [(0, 4)]]

    def test_segments_have_their_recommended_colors(self) -> None:
        attributes = make_segmentation("BINARY", [(0, 1), (0, 2)])
        (picture,) = SEGMENTATION.list_pictures(Contents(instances={0: attributes}))

        drawn = SEGMENTATION.compose(picture, attributes, frames_of({0: [[0, 1, 1]], 1: [[0, 0, 1]]}))

        assert drawn.values.tolist() == [[[0] * 3, [255] * 3, [119] * 3]]

    def test_fractions_are_shades(self) -> None:
        attributes = make_segmentation("FRACTIONAL", [(0, 1)], MaximumFractionalValue=100)
        (picture,) = SEGMENTATION.list_pictures(Contents(instances={0: attributes}))

        drawn = SEGMENTATION.compose(picture, attributes, frames_of({0: [[0, 50, 100]]}))

        assert drawn.values[0, :, 0].tolist() == [0, 128, 255]

    def test_label_maps_hold_segment_numbers(self) -> None:
        attributes = make_segmentation("LABELMAP", [(0, 1)])
        (picture,) = SEGMENTATION.list_pictures(Contents(instances={0: attributes}))

        drawn = SEGMENTATION.compose(picture, attributes, frames_of({0: [[0, 1, 2, 3]]}))

        assert drawn.values[0, :3, 1].tolist() == [0, 255, 119]
        assert drawn.values[0, 3].max() > 200

    def test_a_label_map_with_a_palette_keeps_its_colors(self) -> None:
        attributes = make_segmentation("LABELMAP", [(0, 1)])
        (picture,) = SEGMENTATION.list_pictures(Contents(instances={0: attributes}))
        frames = frames_of({0: [[[9, 8, 7]]]})

        assert SEGMENTATION.compose(picture, attributes, frames).values.tolist() == [[[9, 8, 7]]]

    def test_a_missing_frame_leaves_its_segment_out(self) -> None:
        attributes = make_segmentation("BINARY", [(0, 1), (0, 2)])
        (picture,) = SEGMENTATION.list_pictures(Contents(instances={0: attributes}))

        assert SEGMENTATION.compose(picture, attributes, frames_of({1: [[1]]})).values.max() == 119
        with pytest.raises(PixelError):
            SEGMENTATION.compose(picture, attributes, {})

    def test_a_segmentation_of_highdicom_is_painted_where_its_masks_are(self) -> None:
        masks = np.zeros((3, 16, 16, 2), np.uint8)
        masks[:, 2:6, 2:6, 0] = 1
        masks[1:, 8:12, 8:12, 1] = 1
        written = segment_planes(masks, [(200, 30, 40), (30, 60, 220)])
        attributes = attributes_of(written)

        pictures = SEGMENTATION.list_pictures(Contents(instances={0: attributes}))
        arrays = dict(enumerate(written.pixel_array))
        last = SEGMENTATION.compose(max(pictures, key=lambda p: len(p.frames)), attributes, frames_of(arrays))

        assert sorted(len(picture.frames) for picture in pictures) == [1, 2, 2]
        assert np.abs(last.values[3, 3].astype(int) - (200, 30, 40)).max() <= 3
        assert np.abs(last.values[9, 9].astype(int) - (30, 60, 220)).max() <= 3
        assert last.values[0, 0].tolist() == [0, 0, 0]


class TestSlide:
    @pytest.mark.parametrize(
        ("flavors", "chosen"),
        [
            (
                {"VOLUME": (2000, 3000), "THUMBNAIL": (600, 900), "LABEL": (300, 300), "OVERVIEW": (400, 800)},
                "THUMBNAIL",
            ),
            ({"VOLUME": (2000, 3000), "LABEL": (300, 300), "OVERVIEW": (400, 800)}, "VOLUME"),
            ({"VOLUME": (60000, 70000), "LABEL": (300, 300), "OVERVIEW": (400, 800)}, "OVERVIEW"),
        ],
    )
    def test_the_thumbnail_goes_before_a_level_before_the_overview(
        self, flavors: dict[str, tuple[int, int]], chosen: str
    ) -> None:
        instances = {row: make_slide(flavor, *shape, 500) for row, (flavor, shape) in enumerate(flavors.items())}

        (picture,) = SLIDE.list_pictures(Contents(instances=instances))

        assert picture.frames[0].instance == list(flavors).index(chosen)

    def test_the_smallest_level_of_a_useful_size_is_drawn(self) -> None:
        sizes = [(4000, 4096), (500, 512), (250, 256), (1, 1), (60000, 60000)]
        instances = {row: make_slide("VOLUME", *size, 256) for row, size in enumerate(sizes)}

        (picture,) = SLIDE.list_pictures(Contents(instances=instances))
        (small,) = SLIDE.list_pictures(Contents(instances={row: instances[row] for row in (2, 3)}))

        assert {ref.instance for ref in picture.frames} == {1}
        assert len(picture.frames) == 4
        assert {ref.instance for ref in small.frames} == {2}
        assert MAX_STITCHED >= 4000 * 4096

    def test_full_tiles_are_stitched_row_by_row_and_cut_at_the_edge(self) -> None:
        image = np.random.default_rng(0).integers(0, 256, (10, 7, 3)).astype(np.uint8)
        attributes = make_slide("VOLUME", 10, 7)
        (picture,) = SLIDE.list_pictures(Contents(instances={0: attributes}))

        drawn = SLIDE.compose(picture, attributes, frames_of(cut_tiles(image, 4)))

        assert (drawn.values == image).all()

    def test_only_the_first_focal_plane_is_read(self) -> None:
        attributes = make_slide("VOLUME", 8, 8, NumberOfFrames=12, TotalPixelMatrixFocalPlanes=3)

        (picture,) = SLIDE.list_pictures(Contents(instances={0: attributes}))

        assert [ref.frame for ref in picture.frames] == [0, 1, 2, 3]

    def test_sparse_tiles_lie_where_they_say_on_white_glass(self) -> None:
        image = np.random.default_rng(0).integers(0, 200, (8, 12, 3)).astype(np.uint8)
        tiles = cut_tiles(image, 4)
        placed = [(1, 1, 0), (1, 5, 1), (5, 9, 5), (1, 1, 2)]  # the last one is of another focal plane
        groups = [
            Attributes(
                {
                    "PlanePositionSlideSequence": [
                        Attributes(
                            {"RowPositionInTotalImagePixelMatrix": row, "ColumnPositionInTotalImagePixelMatrix": column}
                        )
                    ]
                }
            )
            for row, column, _ in placed
        ]
        attributes = make_slide(
            "VOLUME",
            8,
            12,
            DimensionOrganizationType="TILED_SPARSE",
            NumberOfFrames=4,
            PerFrameFunctionalGroupsSequence=groups,
        )
        (picture,) = SLIDE.list_pictures(Contents(instances={0: attributes}))
        frames = frames_of({place: tiles[tile] for place, (_, _, tile) in enumerate(placed)})

        drawn = SLIDE.compose(picture, attributes, frames).values

        assert (drawn[:4, :8] == image[:4, :8]).all()
        assert (drawn[4:, 8:] == image[4:, 8:]).all()
        assert (drawn[4:, :8] == 255).all()

    @pytest.mark.parametrize("split", [1, 2, 5])
    def test_a_level_split_over_a_concatenation_is_stitched_as_a_whole(self, split: int) -> None:
        image = np.random.default_rng(0).integers(0, 256, (10, 7, 3)).astype(np.uint8)
        tiles = cut_tiles(image, 4)
        second_plane = {number + len(tiles): tile // 2 for number, tile in tiles.items()}
        stored_tiles = [*tiles.values(), *second_plane.values()]
        starts = range(0, len(stored_tiles), split)
        parts = {
            30 - row: make_slide(
                "VOLUME",
                10,
                7,
                NumberOfFrames=min(split, len(stored_tiles) - start),
                TotalPixelMatrixFocalPlanes=2,
                ConcatenationUID="1.2.9",
                ConcatenationFrameOffsetNumber=start,
                InConcatenationNumber=row + 1,
            )
            for row, start in enumerate(starts)
        }
        frames = {
            FrameRef(30 - row, number): stored(tile)
            for row, start in enumerate(starts)
            for number, tile in enumerate(stored_tiles[start : start + split])
        }
        other = {40: make_slide("VOLUME", 10, 7, ConcatenationUID="1.2.8")}

        (picture,) = SLIDE.list_pictures(Contents(instances=parts | other))
        drawn = SLIDE.compose(picture, parts[picture.frames[0].instance], frames)

        assert len(picture.frames) == len(tiles)
        assert (drawn.values == image).all()

    def test_sparse_tiles_of_a_concatenation_lie_where_they_say(self) -> None:
        def part(offset: int, column: int) -> Attributes:
            position = {"RowPositionInTotalImagePixelMatrix": 1, "ColumnPositionInTotalImagePixelMatrix": column}
            return make_slide(
                "VOLUME",
                4,
                8,
                DimensionOrganizationType="TILED_SPARSE",
                NumberOfFrames=1,
                ConcatenationUID="1.2.9",
                ConcatenationFrameOffsetNumber=offset,
                PerFrameFunctionalGroupsSequence=[
                    Attributes({"PlanePositionSlideSequence": [Attributes(position)]}),
                ],
            )

        parts = {0: part(1, 5), 1: part(0, 1)}
        frames = {FrameRef(0, 0): stored(np.full((4, 4, 3), 50)), FrameRef(1, 0): stored(np.full((4, 4, 3), 90))}

        (picture,) = SLIDE.list_pictures(Contents(instances=parts))
        drawn = SLIDE.compose(picture, parts[1], frames).values

        assert drawn[0, :, 0].tolist() == [90] * 4 + [50] * 4

    def test_a_missing_tile_leaves_a_hole_and_none_is_an_error(self) -> None:
        attributes = make_slide("VOLUME", 8, 8)
        (picture,) = SLIDE.list_pictures(Contents(instances={0: attributes}))
        tiles = cut_tiles(np.zeros((8, 8, 3), np.uint8), 4)
        del tiles[3]

        assert SLIDE.compose(picture, attributes, frames_of(tiles)).values[4:, 4:].min() == 255
        with pytest.raises(PixelError):
            SLIDE.compose(picture, attributes, {})

    @needs_data
    def test_a_real_level_is_the_next_finer_one_made_smaller(self) -> None:
        """The pyramid is its own oracle: two levels, stitched, show the same tissue."""
        paths = dict(enumerate(sorted(DATA.glob("series/1c172b28*/*"))))
        instances = {row: attributes_of(pydicom.dcmread(path)) for row, path in paths.items()}

        def stitch(rows: dict[int, Attributes]) -> StoredArray:
            (picture,) = SLIDE.list_pictures(Contents(instances=rows))
            row = picture.frames[0].instance
            decoded = decode_file(paths[row], [ref.frame for ref in picture.frames])
            frames = {FrameRef(row, frame): stored(values) for frame, values in decoded.items()}
            return SLIDE.compose(picture, instances[row], frames).values

        by_columns = {attributes.integer("TotalPixelMatrixColumns"): row for row, attributes in instances.items()}
        chosen = stitch(instances)
        finer = stitch({by_columns[1110]: instances[by_columns[1110]]})

        assert chosen.shape == (741, 555, 3)
        coarse = chosen[:736, :544].reshape(46, 16, 34, 16, 3).mean(axis=(1, 3))
        fine = finer[:1472, :1088].reshape(46, 32, 34, 32, 3).mean(axis=(1, 3))
        assert np.abs(fine - coarse).mean() < 1


class TestMaps:
    def test_dose_is_scaled_and_colored(self) -> None:
        attributes = make_attributes(DoseGridScaling="0.001", DoseUnits="GY")
        frames = frames_of({0: [[0, 1]]})

        drawn = DOSE.compose(Picture(frames=(FrameRef(0, 0),)), attributes, frames)

        assert describe_transform(attributes, 0).slope == 0.001
        assert drawn.color_map is not None
        assert drawn.color_map.shape == (256, 3)
        assert drawn.color_map[0].tolist() == [0, 0, 0]
        assert describe_unit(attributes) == "GY"

    def test_parametric_maps_grow_brighter_evenly(self) -> None:
        drawn = PARAMETRIC_MAP.compose(Picture(frames=(FrameRef(0, 0),)), make_attributes(), frames_of({0: [[1.0]]}))

        assert drawn.color_map is not None
        lightness = drawn.color_map @ np.array([0.299, 0.587, 0.114])
        assert (np.diff(lightness) > -0.5).all()

    @pytest.mark.parametrize(
        ("attributes", "unit"),
        [
            ({"RescaleType": "HU"}, "HU"),
            ({"Units": "BQML"}, "BQML"),
            (
                {
                    "RealWorldValueMappingSequence": [
                        Attributes({"MeasurementUnitsCodeSequence": [Attributes({"CodeValue": "um2/s"})]})
                    ]
                },
                "um2/s",
            ),
            ({}, None),
        ],
    )
    def test_units_are_named(self, attributes: dict[str, Any], unit: str | None) -> None:
        assert describe_unit(make_attributes(**attributes)) == unit

    @needs_data
    def test_a_real_parametric_map_has_a_unit_and_floats(self) -> None:
        path = next(next(DATA.glob("series/cfdc02e1*")).iterdir())
        dataset = pydicom.dcmread(path)
        attributes = attributes_of(dataset)

        assert describe_unit(attributes)
        assert describe_aspect(attributes, 0) > 0
        assert decode_file(path)[0].dtype.kind == "f"


class TestProfiles:
    def test_is_found_in_the_image_or_its_optical_path(self) -> None:
        path = Attributes({"ICCProfile": b"path"})

        assert find_profile(make_attributes(ICCProfile=b"image", OpticalPathSequence=[path])) == b"image"
        assert find_profile(make_attributes(OpticalPathSequence=[path])) == b"path"
        assert find_profile(make_attributes()) is None

    def test_srgb_stays_as_it_is(self) -> None:
        rgb = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

        assert np.abs(convert_to_srgb(rgb, profile).astype(int) - rgb).max() <= 1

    @pytest.mark.parametrize(
        "profile", [b"", b"damaged", ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()]
    )
    def test_a_profile_that_cannot_be_used_is_left_out(self, profile: bytes) -> None:
        rgb = np.zeros((2, 2, 3), np.uint8)

        assert convert_to_srgb(rgb, profile) is rgb
        (note,) = describe_profile(profile)
        assert note.startswith("ICC Profile is left out: it is ")
