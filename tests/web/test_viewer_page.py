"""The page of the viewer in a real browser: each thing that a person can do, by mouse and by keyboard."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import Watched, until

import dsp_batch
from dsp_batch.phantom.series import build_ct, build_mr, build_report, build_ultrasound, write_collection
from dsp_batch.web.viewer.server.running import RunningViewer

SLICES = 12


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningViewer]:
    """A viewer over a CT, an MR, a cine of ultrasound, and a report, with regions that are its own."""
    folder = tmp_path_factory.mktemp("series")
    write_collection(folder, [build_ct(count=SLICES, size=128), build_mr(count=8), build_ultrasound(), build_report()])
    with dsp_batch.view([str(folder)], browser=False) as running:
        yield running


@pytest.fixture
def opened(browser: Any, viewer: RunningViewer) -> Iterator[Watched]:
    """The page, once all series are listed; at the end it has said nothing and asked nobody else."""
    watched = Watched(browser.new_page())
    watched.page.goto(viewer.url)
    until(watched.page, "document.querySelector('#counts').textContent.startsWith('4 series')")
    yield watched
    hosts = watched.hosts()
    watched.page.close()
    assert watched.said == []
    assert len(hosts) == 1


@pytest.fixture
def page(opened: Watched) -> Any:
    """The page with the CT on the screen, at rest."""
    open_series(opened.page, "CT")
    return opened.page


def open_series(page: Any, modality: str) -> None:
    page.get_by_role("treeitem").filter(has_text=re.compile(rf"{modality} ·")).click()
    page.wait_for_timeout(400)
    until(page, "document.querySelector('.panel.active .note, .panel .note').textContent === ''")


def middle(page: Any) -> tuple[float, float]:
    box = page.locator("canvas.picture").first.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def read_pointer(page: Any, x: float, y: float) -> dict[str, Any]:
    """What the line of status says of a point of the screen, once the samples of the frame are there."""
    page.mouse.move(x, y)
    until(page, "document.querySelector('[role=status]').textContent.includes('stored')")
    text = page.get_by_role("status").text_content()
    match = re.match(r"column (\d+), row (\d+), stored (-?[\d./]+), value (-?[\d./]+)(?: (\S+))?, (.*) mm$", text)
    assert match, text
    column, row, stored, value, unit, place = match.groups()
    return {
        "pixel": (int(column), int(row)),
        "stored": stored,
        "value": float(value),
        "unit": unit,
        "place": tuple(float(each) for each in place.split(", ")),
    }


def box_of(page: Any, shape: Any) -> Any:
    """Where a shape lies. Shapes are drawn anew with each frame of the screen: one that has just gone has no place."""
    for _ in range(100):
        box = shape.bounding_box(timeout=5000)
        if box is not None:
            return box
        page.wait_for_timeout(20)
    raise AssertionError("the shape is never there")


def frame_number(page: Any) -> int:
    return int(page.get_by_role("slider", name="Frame").input_value())


def gray_at(page: Any, x: float, y: float) -> int:
    """The red of the pixel that the canvas has at a point of the screen."""
    script = """([x, y]) => {
        const canvas = document.querySelector('canvas.picture'), box = canvas.getBoundingClientRect();
        const scale = canvas.width / box.width;
        return canvas.getContext('2d').getImageData((x - box.x) * scale, (y - box.y) * scale, 1, 1).data[0];
    }"""
    return int(page.evaluate(script, [x, y]))


def test_the_explorer_names_series_and_says_what_has_no_pixels(opened: Watched) -> None:
    page = opened.page

    names = page.get_by_role("treeitem").all_inner_texts()
    assert any("no pixels" in name for name in names)
    assert page.get_by_role("treeitem").filter(has_text="no pixels").count() == 1


def test_the_filter_narrows_the_tree(opened: Watched) -> None:
    page = opened.page
    page.get_by_role("searchbox", name="Filter series").fill("ct")
    until(page, "document.querySelector('#counts').textContent.startsWith('1 of 4 series')")

    assert page.get_by_role("treeitem").filter(has_text="CT ·").count() == 1
    assert page.get_by_role("treeitem").filter(has_text="MR ·").count() == 0


def test_the_tree_by_keyboard(opened: Watched) -> None:
    page = opened.page
    page.get_by_role("searchbox", name="Filter series").fill("mr")
    until(page, "document.querySelector('#counts').textContent.startsWith('1 of 4 series')")
    page.locator("[role=treeitem][tabindex='0']").focus()
    page.keyboard.press("ArrowLeft")
    until(page, "document.querySelectorAll('[role=treeitem]').length === 1")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("End")
    page.keyboard.press("Enter")

    until(page, "document.querySelector('[role=tab][aria-selected=true]').textContent.includes('MR')")


def test_pointing_at_a_pixel_tells_its_value_and_place(page: Any) -> None:
    x, y = middle(page)
    found = read_pointer(page, x, y)

    assert found["pixel"] in {(63, 63), (64, 64), (63, 64), (64, 63)}
    assert found["unit"] == "HU"
    assert found["value"] == pytest.approx(float(found["stored"]) - 1024, abs=1)
    beside = read_pointer(page, x + 20, y)
    assert beside["place"][0] > found["place"][0]
    assert beside["place"][1:] == found["place"][1:]


def test_letters_follow_flips_and_turns(page: Any) -> None:
    def letters() -> list[str]:
        return [page.locator(f".letter.{edge}").text_content() for edge in ("left", "top", "right", "bottom")]

    until(page, "document.querySelector('.letter.left').textContent !== ''")
    assert letters() == ["R", "A", "L", "P"]
    page.get_by_role("button", name="Flip horizontally").click()
    until(page, "document.querySelector('.letter.left').textContent === 'L'")
    assert letters() == ["L", "A", "R", "P"]
    page.get_by_role("button", name="Rotate right").click()
    until(page, "document.querySelector('.letter.top').textContent === 'L'")
    assert letters() == ["P", "L", "A", "R"]
    page.get_by_role("button", name="Rotate left").click()
    page.get_by_role("button", name="Flip vertically").click()
    until(page, "document.querySelector('.letter.top').textContent === 'P'")
    page.get_by_role("button", name="Reset").click()
    until(page, "document.querySelector('.letter.top').textContent === 'A'")
    assert letters() == ["R", "A", "L", "P"]


def test_dragging_changes_the_window_and_reset_brings_it_back(page: Any) -> None:
    x, y = middle(page)
    read_pointer(page, x, y)
    before = float(page.get_by_label("Width", exact=True).input_value())
    page.mouse.down()
    page.mouse.move(x + 100, y, steps=4)
    page.mouse.up()

    until(page, "document.querySelector('#preset').value === 'typed'")
    assert float(page.get_by_label("Width", exact=True).input_value()) > before
    page.get_by_role("button", name="Reset").click()
    until(page, "document.querySelector('#preset').value === 'embedded'")
    until(page, f"Number(document.querySelector('#width').value) === {before}")


@pytest.mark.parametrize("preset", ["full dynamic", "auto", "ct-bone"])
def test_presets_draw_as_the_server_does(page: Any, preset: str) -> None:
    x, y = middle(page)
    value = read_pointer(page, x, y)["value"]
    page.get_by_label("Preset").select_option(preset)
    until(page, f"document.querySelector('#preset').value === '{preset}'")
    page.wait_for_timeout(700)

    center = float(page.get_by_label("Center").input_value())
    width = float(page.get_by_label("Width", exact=True).input_value())
    expected = min(max((value - center) / width + 0.5, 0), 1) * 255
    assert gray_at(page, x, y) == pytest.approx(expected, abs=12)  # neighbours are blended where pixels are enlarged
    if preset == "ct-bone":
        assert (center, width) == (300, 2000)


def test_a_window_that_is_typed(page: Any) -> None:
    read_pointer(page, *middle(page))
    page.get_by_label("Width", exact=True).fill("1")
    page.get_by_label("Center").fill("-5000")
    page.get_by_label("Center").press("Enter")
    page.wait_for_timeout(600)

    assert page.get_by_label("Preset").input_value() == "typed"
    assert gray_at(page, *middle(page)) == 255


def test_frames_by_keys_wheel_slider_and_buttons(page: Any) -> None:
    start = frame_number(page)
    x, y = middle(page)
    page.mouse.move(x, y)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("]")
    assert frame_number(page) == start + 2
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("[")
    assert frame_number(page) == start
    page.mouse.wheel(0, 80)
    until(page, f"document.querySelector('#frame').value === '{start + 2}'")
    page.get_by_role("button", name="Previous frame").click()
    page.get_by_role("button", name="Next frame").click()
    assert frame_number(page) == start + 2
    page.get_by_role("slider", name="Frame").fill("1")
    until(page, "document.querySelector('#counter').textContent.startsWith('1 /')")
    first = read_pointer(page, x, y)["place"]
    page.get_by_role("slider", name="Frame").fill(str(SLICES))
    until(page, f"document.querySelector('#counter').textContent.startsWith('{SLICES} /')")
    page.wait_for_timeout(600)
    assert read_pointer(page, x, y)["place"][2] != first[2]


def test_cine_plays_at_the_rate_that_is_set_and_stops(page: Any) -> None:
    assert page.get_by_role("spinbutton", name="Frames per second").input_value() == "10"
    page.get_by_role("spinbutton", name="Frames per second").fill("30")
    page.get_by_role("spinbutton", name="Frames per second").press("Enter")
    page.get_by_role("spinbutton", name="Frames per second").blur()
    page.keyboard.press("Space")
    until(page, "document.querySelector('#play').textContent === 'Stop'")
    seen = set()
    for _ in range(30):
        seen.add(frame_number(page))
        page.wait_for_timeout(40)
    page.get_by_role("button", name="Stop").click()

    assert len(seen) > SLICES // 2
    page.wait_for_timeout(100)
    stopped = frame_number(page)
    page.wait_for_timeout(300)
    assert frame_number(page) == stopped


def test_a_cine_without_loop_ends_at_the_last_frame(page: Any) -> None:
    page.get_by_role("checkbox", name="Loop").uncheck()
    page.get_by_role("spinbutton", name="Frames per second").fill("60")
    page.get_by_role("button", name="Play").click()

    until(page, "document.querySelector('#play').textContent === 'Play'")
    assert frame_number(page) == SLICES


def test_an_object_says_its_own_rate(opened: Watched) -> None:
    open_series(opened.page, "US")

    assert opened.page.get_by_role("spinbutton", name="Frames per second").input_value() == "20"


def test_zoom_pan_and_double_click(page: Any) -> None:
    x, y = middle(page)
    centre = read_pointer(page, x, y)["pixel"]
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    page.wait_for_timeout(200)
    edge = read_pointer(page, x + 150, y)["pixel"]
    assert abs(edge[0] - centre[0]) < 12
    page.keyboard.press("p")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 100, y, steps=3)
    page.mouse.up()
    assert read_pointer(page, x, y)["pixel"][0] < centre[0]
    page.mouse.dblclick(x, y)
    page.wait_for_timeout(200)
    assert read_pointer(page, x, y)["pixel"] == centre


def test_the_right_button_zooms_and_the_middle_one_pans(page: Any) -> None:
    x, y = middle(page)
    centre = read_pointer(page, x, y)["pixel"]
    page.mouse.down(button="right")
    page.mouse.move(x, y - 120, steps=3)
    page.mouse.up(button="right")
    page.wait_for_timeout(150)
    assert abs(read_pointer(page, x + 150, y)["pixel"][0] - centre[0]) < 20
    page.mouse.move(x, y)
    page.mouse.down(button="middle")
    page.mouse.move(x, y + 80, steps=3)
    page.mouse.up(button="middle")
    assert read_pointer(page, x, y)["pixel"][1] < centre[1]


def test_tags_are_filtered_unfolded_and_marked(page: Any) -> None:
    page.get_by_role("button", name="Tags").click()
    rows = page.get_by_role("treegrid", name="Tags").get_by_role("row")
    rows.filter(has_text="PatientID").wait_for(timeout=5000)
    page.get_by_role("searchbox", name="Filter tags").fill("ImagePositionPatient")
    until(page, "document.querySelectorAll('#tags-rows tr').length === 1")
    assert "varies" in (page.locator("#tags-rows tr").get_attribute("class") or "")
    page.get_by_role("searchbox", name="Filter tags").fill("(0008,0016)")
    until(page, "document.querySelector('#tags-rows tr .keyword')?.textContent === 'SOPClassUID'")
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    until(page, "document.querySelector('#tags').hidden")


def test_regions_are_drawn_moved_undone_and_exported(page: Any, tmp_path: Path) -> None:
    x, y = middle(page)
    boxes = page.locator(".boxes .region")
    page.keyboard.press("r")
    page.mouse.move(x - 60, y - 40)
    page.mouse.down()
    page.mouse.move(x + 20, y + 30, steps=4)
    page.mouse.up()
    until(page, "document.querySelectorAll('.boxes .region').length === 1")
    first = box_of(page, boxes.first)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 50, y, steps=4)
    page.mouse.up()
    page.wait_for_timeout(150)
    assert box_of(page, boxes.first)["x"] > first["x"] + 30
    corner = box_of(page, boxes.first)
    page.mouse.move(corner["x"] + corner["width"], corner["y"] + corner["height"])
    page.mouse.down()
    page.mouse.move(corner["x"] + corner["width"] + 40, corner["y"] + corner["height"] + 40, steps=4)
    page.mouse.up()
    page.wait_for_timeout(150)
    assert box_of(page, boxes.first)["width"] > corner["width"] + 20
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    page.wait_for_timeout(150)
    assert box_of(page, boxes.first)["x"] == pytest.approx(first["x"], abs=3)

    with page.expect_download(timeout=10000) as download:
        page.get_by_role("button", name="Export regions").click()
    path = tmp_path / "regions.csv"
    download.value.save_as(path)
    [row] = csv.DictReader(path.open())
    assert row["num_ROI"] == "1"
    assert row["ROI_coords"].startswith("[[")

    page.mouse.click(x - 30, y - 20)
    page.keyboard.press("Delete")
    until(page, "document.querySelectorAll('.boxes .region').length === 0")


def test_two_series_side_by_side_scroll_together(page: Any) -> None:
    page.get_by_label("Side by side").select_option("2")
    page.locator(".panel").nth(1).click()
    open_series(page, "MR")
    assert page.get_by_role("tab").count() == 2
    page.locator(".panel").nth(0).click()
    page.get_by_role("slider", name="Frame").fill("1")
    page.wait_for_timeout(300)
    page.locator(".panel").nth(1).click()
    first = frame_number(page)
    page.locator(".panel").nth(0).click()
    page.get_by_role("slider", name="Frame").fill(str(SLICES))
    page.wait_for_timeout(300)
    page.locator(".panel").nth(1).click()
    assert frame_number(page) != first


def test_arrows_go_from_series_to_series(page: Any) -> None:
    first = page.locator("[role=tab][aria-selected=true]").text_content()
    page.keyboard.press("ArrowDown")
    page.wait_for_timeout(300)
    second = page.locator("[role=tab][aria-selected=true]").text_content()
    page.keyboard.press("ArrowUp")
    page.wait_for_timeout(300)

    assert second != first
    assert page.locator("[role=tab][aria-selected=true]").text_content() == first


def test_an_object_without_pixels_shows_its_preview(opened: Watched) -> None:
    page = opened.page
    page.get_by_role("treeitem").filter(has_text="no pixels").click()
    until(page, "document.querySelector('.note').textContent === ''")

    assert page.locator("#frames").is_hidden()
    page.keyboard.press("t")
    page.get_by_role("treegrid", name="Tags").get_by_role("row").filter(has_text="ContentSequence").first.click()
    page.get_by_role("treegrid", name="Tags").get_by_role("row").filter(has_text="Item 1").first.wait_for(timeout=5000)


def test_the_series_in_the_address_is_opened_again(page: Any) -> None:
    page.reload()
    until(page, "document.querySelector('[role=tab][aria-selected=true]')?.textContent.includes('CT')")


def test_keys_are_listed(page: Any) -> None:
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    dialog.wait_for(timeout=5000)
    page.keyboard.press("Escape")
    until(page, "!document.querySelector('dialog').open")


def test_the_page_is_found_by_role_and_name(page: Any) -> None:
    snapshot = page.locator("body").aria_snapshot()
    for wanted in (
        'searchbox "Filter series"',
        'slider "Frame"',
        'spinbutton "Frames per second"',
        'combobox "Preset"',
        'button "Play"',
        'button "Previous frame"',
        'button "Next frame"',
        'button "Flip horizontally"',
        'button "Flip vertically"',
        'button "Rotate right"',
        'button "Rotate left"',
        'button "Reset"',
        'button "Tags"',
        'button "Export regions"',
    ):
        assert wanted in snapshot, wanted
