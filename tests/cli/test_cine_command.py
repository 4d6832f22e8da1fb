"""`cine`: what it writes, and what it refuses before anything is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from outcomes import Run
from PIL import Image

from dsp_batch.phantom.objects import PhantomSeries
from dsp_batch.phantom.series import build_report


@pytest.mark.parametrize("suffix", [".webp", ".GIF", ".avif"])
def test_the_suffix_decides_the_format_of_a_moving_picture(
    preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path, suffix: str
) -> None:
    output = tmp_path / f"out{suffix}"

    outcome = preview(
        "cine", ct.series_uuid, output, "--root", collection, "--frames", 7, "--fps", 20, "--image-width", 40
    )

    assert (outcome.status, outcome.stdout, outcome.stderr) == (0, "", "")
    with Image.open(output) as image:
        assert (image.format, image.size, image.n_frames) == (suffix[1:].upper(), (40, 40), 7)


@pytest.mark.parametrize(
    ("output", "options", "said"),
    [
        ("out.jpg", (), "must end in .webp, .avif, .gif or .mp4"),
        ("out.webp", ("--fps", "-1"), "--fps must lie between"),
        ("out.webp", ("--frames", 0), "--frames must be 1 or more"),
        ("out.webp", ("--start", 0.6, "--end", 0.4), "--start 0.6 lies behind --end 0.4"),
        ("out.webp", ("--contrast", "sepia"), "unknown contrast 'sepia'"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_the_series_is_looked_for(
    preview: Run, tmp_path: Path, output: str, options: tuple[object, ...], said: str
) -> None:
    outcome = preview("cine", "not a series", tmp_path / output, *options)

    assert outcome.status == 1
    assert said in outcome.stderr


def test_a_series_without_pixels_is_one_line(preview: Run, collection: Path, tmp_path: Path) -> None:
    outcome = preview("cine", build_report().series_uuid, tmp_path / "out.webp", "--root", collection)

    assert (outcome.status, len(outcome.stderr.splitlines())) == (1, 1)
    assert "no object with pixels" in outcome.stderr
