"""The page of a gallery in a real browser."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browsers import SERIES, Watched, until
from gallery_cache import make_cache, make_row, series_uuid, write_run

from dsp_batch.batch.manifest.read import read_manifest
from dsp_batch.cache import Cache, open_cache
from dsp_batch.web.gallery import GalleryOptions, write_gallery

DONE = [number for number in range(SERIES) if number % 10 != 9 and number % 7 != 6]


def counts(page: Any) -> tuple[int, int, int]:
    """N of M series, K selected."""
    text = page.get_by_role("status").first.text_content()
    match = re.search(r"(\d+) of (\d+) series, (\d+) selected", text)
    assert match, text
    return tuple(map(int, match.groups()))  # type: ignore[return-value]


def wait_for(page: Any, shown: int, selected: int = 0) -> None:
    text = rf"(^|\\D){shown} of \\d+ series, {selected} selected"
    until(page, f"new RegExp('{text}').test(document.querySelector('[role=status]').textContent)")


def tiles(page: Any) -> Any:
    return page.get_by_role("grid").get_by_role("gridcell")


def focused_name(page: Any) -> str:
    grid = page.get_by_role("grid")
    return str(page.locator(f"#{grid.get_attribute('aria-activedescendant')}").get_attribute("aria-label"))


def save(page: Any, click: Callable[[], None], folder: Path) -> Path:
    with page.expect_download() as download:
        click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


@pytest.mark.parametrize("way", ["file", "http"])
def test_the_same_files_open_from_disk_and_from_a_server(
    way: str, open_page: Callable[[str], Watched], cache: Cache, server: str
) -> None:
    url = f"file://{cache.url}" if way == "file" else server
    watched = open_page(f"{url}/gallery/index.html")
    picture = tiles(watched.page).nth(0).locator("img")
    picture.wait_for()

    until(watched.page, "document.querySelector('[role=gridcell] img').naturalWidth === 192")
    assert counts(watched.page) == (SERIES, SERIES, 0)
    assert len(watched.hosts()) == 1
    assert watched.page.title() == "Sixty series"


def test_rows_and_their_pictures_come_before_the_facets(open_page: Callable[[str], Watched], server: str) -> None:
    watched = open_page(f"{server}/gallery/index.html")
    watched.page.get_by_role("group", name="Modality").wait_for()

    names = [url.split("?")[0].rsplit("/", 1)[1] for url in watched.requests]
    picture = next(place for place, name in enumerate(names) if name.endswith(".webp"))
    assert names.index("rows-000.js") < picture < names.index("facets.js")


def test_tiles_have_names_and_those_without_picture_say_why(page: Any) -> None:
    tiles(page).filter(has_text="bad-pixels").first.wait_for()

    assert tiles(page).nth(0).get_attribute("aria-label") == "Series number 0, CT · 1 instance"
    failed = tiles(page).filter(has_text="bad-pixels").first
    assert "failed: bad-pixels" in failed.get_attribute("aria-label")
    assert failed.locator("img").count() == 0


def test_few_elements_are_in_the_page(page: Any) -> None:
    tiles(page).nth(0).locator("img").wait_for()

    assert page.locator("[role=grid] *").count() <= 200


def test_values_of_a_facet_are_either_or_and_facets_narrow_one_another(page: Any) -> None:
    modality, body = page.get_by_role("group", name="Modality"), page.get_by_role("group", name="Body part")
    modality.get_by_role("checkbox", name="CT 15").check()
    wait_for(page, 15)
    modality.get_by_role("checkbox", name="MR 15").check()
    wait_for(page, 30)

    both = [n for n in range(SERIES) if n % 4 in (0, 1)]
    heads = [n for n in both if n % 3 == 1]
    body.get_by_role("checkbox", name=f"HEAD {len(heads)}").check()
    wait_for(page, len(heads))
    assert modality.get_by_role("checkbox", name=f"PT {len([n for n in range(SERIES) if n % 12 == 10])}").count() == 1
    page.get_by_role("button", name="Clear filters").click()
    wait_for(page, SERIES)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("number 17", 1),
        ("NUMB study of 3", 10 + 6),
        ("pat-00002", 6),
        (series_uuid(33)[:13], 1),
        ("1.2.3.41", 1),
        ("no such thing", 0),
    ],
)
def test_search_finds_parts_of_words_in_any_case(page: Any, text: str, found: int) -> None:
    page.get_by_role("searchbox").fill(text)
    if text.startswith("NUMB"):
        words = text.lower().split()
        lines = [f"series number {n} study of {n // 6} pat-{n // 6:05d}" for n in range(SERIES)]
        found = sum(all(word in line for word in words) for line in lines)
    wait_for(page, found)


def test_ranges_take_numbers_and_dates(page: Any) -> None:
    instances = [1 + n * 7 % 400 for n in range(SERIES)]
    page.get_by_role("textbox", name="Instances from").fill("100")
    page.get_by_role("textbox", name="Instances to").fill("200")
    wait_for(page, len([n for n in instances if 100 <= n <= 200]))
    page.get_by_role("textbox", name="Instances from").fill("")
    page.get_by_role("textbox", name="Instances to").fill("")
    page.get_by_role("textbox", name="Date from").fill("2021-03-01")
    page.get_by_role("textbox", name="Date to").fill("2021-03")
    wait_for(page, len([n for n in range(SERIES) if n % 12 == 2]))
    page.get_by_role("textbox", name="Date from").fill("")
    page.get_by_role("textbox", name="Date to").fill("")
    page.get_by_role("textbox", name="MB to").fill("0.0095")
    wait_for(page, 9)  # the first has read no byte, so nothing is known of its size


def test_rows_are_sorted_both_ways(page: Any) -> None:
    page.get_by_role("combobox", name="Sort by").select_option("Instances")
    until(page, "document.querySelector('[role=gridcell]')?.getAttribute('aria-label').includes(' 1 instance')")
    page.get_by_role("button", name="Descending").click()
    most = max(1 + n * 7 % 400 for n in range(SERIES))
    until(page, f"document.querySelector('[role=gridcell]')?.getAttribute('aria-label').includes(' {most} instances')")


def test_groups_are_folded_with_their_counts_and_have_no_empty_parents(page: Any) -> None:
    page.get_by_role("combobox", name="Group by").select_option("study")
    headings = page.locator("[aria-expanded][role=rowheader]")
    headings.first.wait_for()
    assert headings.all_text_contents() == ["collection_0 24", "collection_1 18", "collection_2 18"]
    headings.nth(0).click()
    headings.nth(1).click()
    assert headings.all_text_contents()[:4] == [
        "collection_0 24",
        "PAT-00000 6",
        "2021-01-01 Study of 0 3",
        "2021-04-04 Study of 0 3",
    ]
    headings.nth(2).click()
    until(page, "document.querySelectorAll('[role=gridcell]').length === 3")

    page.get_by_role("searchbox").fill("PAT-00001")
    until(page, "document.querySelectorAll('[role=rowheader]').length === 1")
    assert headings.all_text_contents() == ["collection_1 6"]


def test_a_pointer_scrubs_through_the_tiles_without_any_request(
    open_page: Callable[[str], Watched], server: str
) -> None:
    watched = open_page(f"{server}/gallery/index.html")
    page = watched.page
    until(page, "document.querySelector('[role=gridcell] img')?.naturalWidth > 0")
    page.wait_for_load_state("networkidle")
    box = tiles(page).nth(0).bounding_box()
    before = len(watched.requests)

    seen = []
    for step in range(5):
        page.mouse.move(box["x"] + box["width"] * (step + 0.5) / 5, box["y"] + 50)
        seen.append(page.locator(".scrub").text_content())
    assert seen == ["1/5", "2/5", "3/5", "4/5", "5/5"]
    assert watched.requests[before:] == []


def test_keys_scrub_the_tile_in_focus(page: Any) -> None:
    page.get_by_role("grid").focus()
    for key, shown in (("]", "1/5"), ("]", "2/5"), ("[", "1/5")):
        page.keyboard.press(key)
        assert page.locator(".scrub").text_content() == shown


def test_arrows_move_the_focus_and_not_the_selection(page: Any) -> None:
    grid = page.get_by_role("grid")
    tiles(page).nth(0).locator("img").wait_for()
    grid.focus()
    assert "Series number 0" in focused_name(page)
    page.keyboard.press("ArrowRight")
    assert "Series number 1," in focused_name(page)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    assert "Series number 1," in focused_name(page)
    page.keyboard.press("End")
    until(
        page,
        "document.getElementById(document.querySelector('[role=grid]').getAttribute('aria-activedescendant'))?.getAttribute('aria-label')",
    )
    assert "Series number 53" in focused_name(page)  # the last of the last patient of the last collection
    page.keyboard.press("PageUp")
    page.keyboard.press("Home")
    assert "Series number 0" in focused_name(page)
    assert counts(page)[2] == 0
    assert page.locator("[tabindex='0']").filter(visible=True).count() == 1


def test_selection_by_mouse_and_keyboard(page: Any) -> None:
    tiles(page).nth(0).locator("img").wait_for()
    tiles(page).nth(2).click()
    assert counts(page)[2] == 1
    assert page.get_by_role("dialog").count() == 0
    tiles(page).nth(5).click(modifiers=["Shift"])
    assert counts(page)[2] == 4
    tiles(page).nth(3).click(modifiers=["Control"])
    assert counts(page)[2] == 3
    assert tiles(page).nth(3).get_attribute("aria-selected") == "false"
    page.keyboard.press("Space")
    assert counts(page)[2] == 4
    tiles(page).nth(0).click()
    assert counts(page)[2] == 1
    page.keyboard.press("Control+a")
    assert counts(page)[2] == SERIES
    page.keyboard.press("Escape")
    assert counts(page)[2] == 0


def test_the_detail_shows_previews_side_by_side_facts_links_and_the_command(page: Any, cache: Cache) -> None:
    page.get_by_role("grid").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Series number 0")
    dialog.get_by_role("row", name="collection_id").wait_for()
    alternatives = [image.get_attribute("alt") for image in dialog.get_by_role("img").all()]
    assert alternatives == ["preview of Series number 0", "contrasts of Series number 0"]
    assert "line one of 0" in dialog.text_content()
    viewer = dialog.get_by_role("link", name="Open in OHIF").get_attribute("href")
    assert viewer == "https://viewer.example/v3/?StudyInstanceUIDs=1.2.3.4.0&initialSeriesInstanceUID=1.2.3.0"
    index = dialog.get_by_role("link", name="Index").get_attribute("href")
    assert index == f"../indices/{series_uuid(0)}_index.parquet"
    command = (
        f"dicom-series-preview mosaic {series_uuid(0)} {series_uuid(0)}.webp --root s3://idc-open-data --image-width 64"
    )
    assert command in dialog.text_content()
    page.keyboard.press("ArrowRight")
    page.get_by_role("dialog", name="Series number 1").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")


def test_labels_are_given_undone_kept_and_exported(page: Any, tmp_path: Path) -> None:
    tiles(page).nth(0).locator("img").wait_for()
    page.get_by_role("grid").focus()
    page.keyboard.press("3")
    page.keyboard.press("n")
    page.keyboard.press("4")
    page.keyboard.press("u")
    page.keyboard.press("n")
    page.keyboard.press("5")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("7")
    page.keyboard.press("0")
    page.wait_for_timeout(200)
    page.reload()
    tiles(page).nth(0).locator("img").wait_for()
    page.get_by_role("group", name="Label").get_by_role("checkbox", name="3 1").wait_for()

    path = save(page, page.get_by_role("button", name="Export labels").click, tmp_path)
    rows = list(csv.reader(path.open()))
    assert rows == [["uuid", "label", "note"], [series_uuid(0), "3", ""], [series_uuid(2), "5", ""]]


def test_labels_are_imported(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f'uuid,label,note\n{series_uuid(4)},9,"said ""so"", twice"\n')
    page.locator("input[type=file]").set_input_files(path)
    page.get_by_role("group", name="Label").get_by_role("checkbox", name="9 1").check()
    wait_for(page, 1)

    again = save(page, page.get_by_role("button", name="Export labels").click, tmp_path)
    assert list(csv.reader(again.open()))[1] == [series_uuid(4), "9", 'said "so", twice']


@pytest.mark.parametrize("form", ["s5cmd manifest", "CSV", "Plain list", "Python"])
def test_selections_are_manifests_that_a_batch_reads(
    page: Any, tmp_path: Path, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    tiles(page).nth(0).locator("img").wait_for()
    tiles(page).nth(0).click()
    tiles(page).nth(2).click(modifiers=["Shift"])
    page.get_by_role("button", name="Export…").click()
    path = save(page, page.get_by_role("dialog").get_by_role("button", name=form).click, tmp_path)

    found = [(ref.root, ref.series_uuid) for ref in read_manifest(str(path))]
    assert found == [("s3://idc-open-data", series_uuid(number)) for number in (0, 1, 2)]
    assert caplog.messages == []  # no line of it was rejected


@pytest.mark.parametrize("form", ["s5cmd manifest", "CSV", "Plain list", "Python"])
def test_selections_of_series_on_disk_lead_back_to_their_folders(
    tmp_path: Path, open_page: Callable[[str], Watched], form: str
) -> None:
    cache, root = open_cache(tmp_path / "cache"), "/data/my 100% series"
    write_run(cache, [make_row(0, root=root)])
    write_gallery(cache, GalleryOptions())
    page = open_page(f"file://{cache.url}/gallery/index.html").page
    page.get_by_role("button", name="Export…").click()
    path = save(page, page.get_by_role("dialog").get_by_role("button", name=form).click, tmp_path)

    assert [(ref.root, ref.series_uuid) for ref in read_manifest(str(path))] == [(root, series_uuid(0))]


def test_a_series_that_a_scan_has_found_is_named_by_its_folder(
    tmp_path: Path, open_page: Callable[[str], Watched]
) -> None:
    cache = open_cache(tmp_path / "cache")
    write_run(cache, [make_row(0, root="/data", folder="MEIER/CT 1")])
    write_gallery(cache, GalleryOptions())
    page = open_page(f"file://{cache.url}/gallery/index.html").page
    tiles(page).nth(0).dblclick()
    dialog = page.get_by_role("dialog", name="Series number 0")
    dialog.get_by_role("row", name="folder").wait_for()
    command = dialog.locator("code").text_content()
    assert command.startswith(f"dicom-series-preview mosaic '/data/MEIER/CT 1' {series_uuid(0)}.webp --root /data")
    assert command.endswith("--series-uid 1.2.3.0")
    page.keyboard.press("Escape")

    page.get_by_role("button", name="Export…").click()
    path = save(page, page.get_by_role("dialog").get_by_role("button", name="Plain list").click, tmp_path)
    assert path.read_text() == "file:///data/MEIER/CT%201\n"


def test_licenses_and_citations_are_counted(page: Any, tmp_path: Path) -> None:
    page.get_by_role("button", name="Export…").click()
    licenses = save(page, page.get_by_role("dialog").get_by_role("button", name="Licenses").click, tmp_path)

    rows = list(csv.DictReader(licenses.open()))
    assert sum(int(row["series"]) for row in rows) == SERIES
    assert {row["license"] for row in rows} == {"CC BY 4.0", "CC BY-NC 3.0"}
    assert {row["citation"] for row in rows} == {f"https://doi.org/10.7937/{number}" for number in range(3)}


def test_a_link_shows_the_same_elsewhere(page: Any, open_page: Callable[[str], Watched]) -> None:
    page.get_by_role("group", name="Modality").get_by_role("checkbox", name="CT").check()
    page.get_by_role("combobox", name="Sort by").select_option("Instances")
    page.get_by_role("slider", name="Tile size").fill("256")
    wait_for(page, 15)
    tiles(page).nth(1).click()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    title = page.get_by_role("dialog").get_by_role("heading").text_content()
    until(page, "location.hash.includes('open=')")

    other = open_page(page.url).page
    other.get_by_role("dialog", name=title).wait_for()
    assert counts(other) == (15, SERIES, 1)
    assert other.get_by_label("Tile size").input_value() == "256"


def test_the_overview_shows_all_and_leads_back(page: Any) -> None:
    page.get_by_role("button", name="Overview").click()
    canvas = page.get_by_role("img", name=f"Overview of {SERIES} series")
    canvas.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    tiles(page).nth(0).wait_for()
    assert "Series number 1," in focused_name(page)


def test_question_mark_shows_the_keys(page: Any) -> None:
    page.get_by_role("grid").focus()
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")


HOSTILE = "<img src=x onerror=alert(1)>\"'</script><script>alert(2)</script>\u202e=cmd|' /C calc'!A0"


def test_hostile_names_are_text(tmp_path: Path, open_page: Callable[[str], Watched]) -> None:
    cache = open_cache(str(tmp_path / "a b#c%20"))
    texts = (
        "series_description",
        "patient_id",
        "collection_id",
        "body_part",
        "source_doi",
        "license",
        "study_description",
    )
    rows = [make_row(number, columns=dict.fromkeys(texts, HOSTILE)) for number in range(3)]
    rows.append(make_row(3, viewer="javascript:alert(3)", error=HOSTILE, columns={"summary": HOSTILE, "grid": HOSTILE}))
    write_run(cache, rows)
    write_gallery(cache, GalleryOptions(title=HOSTILE))
    watched = open_page((tmp_path / "a b#c%20/gallery/index.html").as_uri())
    page = watched.page
    page.on("dialog", lambda dialog: watched.said.append(dialog.message))
    until(page, "document.querySelector('[role=gridcell] img')?.naturalWidth > 0")
    page.get_by_role("grid").focus()
    for _ in range(4):
        page.keyboard.press("Enter")
        page.get_by_role("dialog").get_by_role("row", name="root").wait_for()
        assert page.locator("[href^='javascript:']").count() == 0
        page.keyboard.press("Escape")
        page.keyboard.press("ArrowRight")
    page.get_by_role("combobox", name="Group by").select_option("study")
    page.get_by_role("button", name="Export…").click()
    path = save(page, page.get_by_role("dialog").get_by_role("button", name="CSV").click, tmp_path)

    cells = [cell for row in csv.reader(path.open(newline="")) for cell in row]
    assert not [cell for cell in cells if re.match(r"[=+@\t]|-\D", cell)]
    assert page.title() == HOSTILE


def test_the_page_takes_up_new_rows_while_a_run_goes_on(tmp_path: Path, open_page: Callable[[str], Watched]) -> None:
    cache = make_cache(tmp_path / "cache", 5, ended=False)
    write_gallery(cache, GalleryOptions())
    page = open_page(f"file://{cache.url}/gallery/index.html").page
    tiles(page).nth(0).wait_for()
    tiles(page).nth(1).click()
    write_run(cache, [make_row(number) for number in range(12)])
    write_gallery(cache, GalleryOptions())
    wait_for(page, 12, 1)


def test_rows_come_while_the_page_is_scrolled_slowly_and_without_a_pause(
    tmp_path: Path, open_page: Callable[[str], Watched]
) -> None:
    cache = open_cache(tmp_path / "cache")
    rows = [make_row(number, status="failed", reason="bad-pixels", preview=None) for number in range(6_000)]
    write_run(cache, rows)
    write_gallery(cache, GalleryOptions(atlas=False))
    page = open_page(f"file://{cache.url}/gallery/index.html").page
    page.get_by_role("group", name="Modality").wait_for()

    waiting = page.evaluate(
        """async () => {
          const scroller = document.getElementById("scroller");
          scroller.scrollTop = Math.ceil(facts.rowsPerFile / layout.columns) * layout.tileHeight;
          const waiting = [];
          for (const begin = performance.now(); performance.now() - begin < 2000;) {
            scroller.scrollTop += 1;
            await new Promise(requestAnimationFrame);
            waiting.push(document.querySelectorAll("#grid .waiting").length);
          }
          return waiting;
        }"""
    )

    assert max(waiting) > 0
    assert waiting[-1] == 0


def test_a_screen_reader_finds_its_way(page: Any) -> None:
    tiles(page).nth(0).locator("img").wait_for()
    snapshot = page.locator("body").aria_snapshot()

    for expected in (
        '- grid "Series"',
        '- gridcell "Series number 0, CT · 1 instance"',
        "- status: 60 of 60 series, 0 selected",
        '- searchbox "Search"',
        '- combobox "Sort by"',
        '- slider "Tile size"',
        '- group "Body part"',
    ):
        assert expected in snapshot, snapshot[:3000]


def test_series_json_tells_other_pages_what_is_here(cache: Cache) -> None:
    index = json.loads(cache.read("gallery/series.json") or b"")
    [shard] = index["shards"]
    columns = json.loads(cache.read(f"gallery/{shard}") or b"")

    assert index["count"] == SERIES == len(columns["series_uuid"])
    pictures = [key for key in columns["preview"] if key]
    assert len(pictures) == len(DONE)
    assert all(cache.read(key) for key in pictures)


def test_the_page_of_a_run_that_has_no_row_yet_is_empty(open_page: Callable[[str], Watched], tmp_path: Path) -> None:
    cache = make_cache(tmp_path, 0, ended=False)
    write_gallery(cache, GalleryOptions())

    watched = open_page(f"file://{cache.url}/gallery/index.html")

    assert watched.page.get_by_role("gridcell").count() == 0
