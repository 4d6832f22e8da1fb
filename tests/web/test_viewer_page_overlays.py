"""What other series say of a picture, laid over it in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from browsers import Watched, until
from viewer_client import Client

import dsp_batch
from dsp_batch.phantom.series import build_ct, build_mr, write_collection
from dsp_batch.phantom.statements import build_presentation_state, build_segmentation, build_structure_set
from dsp_batch.web.viewer.server.running import RunningViewer

LIVER = (0.24, 0.48)
"""Where the liver is in the middle slices of the CT: shares of the side of the picture, from its left and its top."""


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningViewer]:
    """A viewer over a CT, what was drawn on it, and an MR of another patient."""
    folder = tmp_path_factory.mktemp("series")
    drawn = [build_segmentation(), build_structure_set(), build_presentation_state()]
    write_collection(folder, [build_ct(), build_mr(count=2), *drawn])
    with dsp_batch.view([str(folder)], browser=False) as running:
        yield running


@pytest.fixture
def opened(browser: Any, viewer: RunningViewer) -> Iterator[Watched]:
    """The page with the CT on the screen; at the end it has said nothing."""
    watched = Watched(browser.new_page())
    watched.page.goto(viewer.url)
    until(watched.page, "document.querySelector('#counts').textContent.startsWith('5 series')")
    open_series(watched.page, "CT torso")
    until(watched.page, "!document.querySelector('#above').hidden")
    watched.page.get_by_text("Other series").click()
    yield watched
    watched.page.close()
    assert watched.said == []


def open_series(page: Any, title: str) -> None:
    page.get_by_role("treeitem").filter(has_text=title).click()
    page.wait_for_timeout(400)
    until(page, "document.querySelector('.panel .note').textContent === ''")


def color_at(page: Any, place: tuple[float, float]) -> list[int]:
    """The color of the canvas at a place of the picture, which fills its height."""
    script = """([x, y]) => {
        const canvas = document.querySelector('canvas.picture'), left = (canvas.width - canvas.height) / 2;
        const pixel = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
        pixel.drawImage(canvas, -Math.round(left + x * canvas.height), -Math.round(y * canvas.height));
        return [...pixel.getImageData(0, 0, 1, 1).data.slice(0, 3)];
    }"""
    found: list[int] = page.evaluate(script, list(place))
    return found


def is_gray(color: list[int]) -> bool:
    return max(color) - min(color) < 3


def lay_over(page: Any, name: str) -> None:
    page.get_by_role("checkbox", name=re.compile(f"^{name}")).check()
    until(page, "document.querySelector('.legend li') !== null")


def legend(page: Any) -> list[str]:
    keys: list[str] = page.get_by_role("list", name="Legend").get_by_role("listitem").all_inner_texts()
    return keys


def test_segments_lie_over_the_picture_with_their_names(opened: Watched) -> None:
    page = opened.page
    assert is_gray(color_at(page, LIVER))
    lay_over(page, "SEG")

    red, _, blue = color_at(page, LIVER)
    assert red > blue + 20
    assert legend(page) == ["Liver", "Spleen"]
    page.get_by_role("checkbox", name=re.compile("^SEG")).uncheck()
    until(page, "document.querySelector('.legend').hidden")
    assert is_gray(color_at(page, LIVER))


def test_the_opacity_of_what_lies_over(opened: Watched) -> None:
    page = opened.page
    lay_over(page, "SEG")
    full = color_at(page, LIVER)
    page.get_by_role("slider", name="Opacity").fill("50")
    page.wait_for_timeout(100)
    half = color_at(page, LIVER)
    page.get_by_role("slider", name="Opacity").fill("0")
    page.wait_for_timeout(100)

    assert is_gray(color_at(page, LIVER))
    assert (half[0] - half[2]) == pytest.approx((full[0] - full[2]) / 2, abs=4)


def test_overlays_follow_the_frames(opened: Watched) -> None:
    page = opened.page
    lay_over(page, "RTSTRUCT")
    shown = legend(page)
    page.get_by_role("slider", name="Frame").fill("1")
    until(page, "document.querySelector('.legend').hidden")
    assert is_gray(color_at(page, LIVER))
    page.get_by_role("slider", name="Frame").fill("21")
    until(page, "!document.querySelector('.legend').hidden")

    assert legend(page) == shown


def test_a_resting_frame_has_the_overlays_of_the_next_ones_at_hand(opened: Watched) -> None:
    page = opened.page
    lay_over(page, "SEG")
    page.wait_for_timeout(1500)
    asked = [url for url in opened.requests if "/overlay?" in url]
    page.get_by_role("button", name="Next frame").click()
    page.wait_for_timeout(60)

    assert len(asked) >= 5
    assert not is_gray(color_at(page, LIVER))


def test_a_series_that_nothing_lies_over_offers_nothing(opened: Watched) -> None:
    page = opened.page
    open_series(page, "MR head")

    assert page.locator("#above").is_hidden()
    assert page.get_by_role("checkbox", name="Overlays").is_visible()


def find_ordered_frame(client: Client) -> int:
    """The place, from 1, of the frame that a presentation state speaks of."""
    images = next(each for each in client.get("series").json if each["modality"] == "CT")
    state = next(each for each in client.get("series").json if each["modality"] == "PR")
    frames = client.get(f"series/{images['id']}").json["frames"]
    path = "file/{file}/frame/{frame}/overlay?series=" + state["id"]
    return next(place for place, each in enumerate(frames, 1) if client.get(path.format(**each)).status == 200)


def test_a_presentation_state_takes_the_place_of_the_frame_that_it_orders(
    opened: Watched, viewer: RunningViewer
) -> None:
    page = opened.page
    page.get_by_role("checkbox", name="PR PR sphere").check()
    page.get_by_role("slider", name="Frame").fill("1")
    page.wait_for_timeout(300)
    assert page.evaluate("document.querySelector('.legend').hidden")
    middle = (0.5, 0.5)
    number = find_ordered_frame(Client(viewer.url))
    page.get_by_role("slider", name="Frame").fill(str(number))
    until(page, "document.querySelector('.legend li') !== null")
    assert legend(page) == ["Sphere in the left lung"]
    ordered = color_at(page, middle)
    page.get_by_role("checkbox", name="PR PR sphere").uncheck()
    until(page, "document.querySelector('.legend').hidden")

    assert color_at(page, middle) != ordered
