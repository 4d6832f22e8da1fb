"""Each of the collected bug reports has a test with its right value."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from data_folder import DATA, needs_data

_SYNTAX = "test_a_transfer_syntax_that_contradicts_the_pixels_is_passed_over_with_a_note"
_OVERLAY = "test_an_overlay_that_is_badly_described_leaves_the_image"
_MOSAIC = "test_a_mosaic_whose_private_block_is_another_one"

TESTS = {
    "ds-decimal-comma": "test_decimal_commas_are_points_in_order_shape_and_window",
    "vr-two-dashes": "test_vr_two_dashes",
    "deflate-zlib-header": "test_deflate_zlib_header",
    "file-names-latin1": "test_names_of_files_that_are_no_utf_8_lead_back_to_the_files",
    "palette-8-declared-16-stored": "test_palette_8_declared_16_stored",
    "voi-lut-16-declared-12-used": "test_voi_lut_16_declared_12_used",
    "overlay-16-bits-with-data": _OVERLAY,
    "overlay-in-pixel-bits": _OVERLAY,
    "overlay-embedded-position-zero": _OVERLAY,
    "encapsulated-under-native-syntax": _SYNTAX,
    "jpeg-under-jpeg2000-syntax": _SYNTAX,
    "native-under-jpeg-syntax": _SYNTAX,
    "jpegls-under-jpeg-lossless-syntax": _SYNTAX,
    "nm-recon-rising": "test_slices_of_a_nuclear_reconstruction_that_rise_are_drawn_from_the_last_to_the_first",
    "siemens-mosaic-block-11": _MOSAIC,
    "siemens-mosaic-other-vendor": _MOSAIC,
    "private-blocks-move": "test_private_creators_that_change_places_have_a_column_each",
    "rotating-mip": "test_rotating_projections_are_all_drawn_by_number",
    "spine-slabs": "test_slabs_of_a_spine_are_all_drawn_one_behind_the_other",
    "two-series-one-folder": "test_of_two_series_in_one_folder_one_is_drawn_and_the_other_counted",
    "window-pair-torn": "test_window_pair_torn",
    "nested-idc-download": "test_nested_idc_download",
    "manifest-tcia": "test_manifest_tcia",
    "manifest-gcs-bucket": "test_manifest_gcs_bucket",
    "manifest-shell-words": "test_manifest_shell_words",
    "manifest-comma-in-path": "test_manifest_comma_in_path",
    "server-gzip-body": "test_objects_in_gzips_coding_are_decoded",
    "server-no-listing": "test_a_page_that_is_no_listing_is_told_as_such",
    "endpoint-without-scheme": "test_both_programs_say_it_in_one_line_before_any_request",
    "buckets-in-two-regions": "test_buckets_in_two_regions_are_read_by_one_process",
    "archived-object": "test_an_archived_object_costs_itself_alone",
}
"""Name of a report → the test that holds its right value."""


@needs_data
def test_each_report_has_a_test() -> None:
    with (DATA / "reports" / "index.csv").open(encoding="utf-8", newline="") as file:
        reports = {row["name"] for row in csv.DictReader(file)}
    written = {
        name
        for path in Path(__file__).parent.rglob("test_*.py")
        for name in re.findall(r"^ *def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }

    assert reports == TESTS.keys()
    assert written >= set(TESTS.values())
