"""A series that crashes the decoder of any codec, or holds it for ever, costs itself and is named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from codec_failures import CRASH, HANG
from complete_runs import ARGUMENTS, check_previews, draw_undisturbed, read_rows
from dask_processes import QUICK, run_batch, run_cluster
from encoded_objects import (
    DEFLATED_FRAMES,
    HTJ2K,
    JPEG,
    JPEG_2000,
    JPEG_LS,
    JPEG_XL,
    RLE,
    SIDE,
    encode,
    make_object,
)

from dsp_batch.cache import open_cache
from dsp_batch.phantom.objects import phantom_uuid

PRELOAD = Path(__file__).parents[1] / "codec_failures.py"
CODECS = {
    "jpeg": JPEG,
    "jpeg-ls": JPEG_LS,
    "jpeg-2000": JPEG_2000,
    "htj2k": HTJ2K,
    "jpeg-xl": JPEG_XL,
    "rle": RLE,
    "deflated": DEFLATED_FRAMES,
}
GOOD = "good"
SECONDS = 1
"""Time of a series."""

Rows = Mapping[str, Mapping[str, Any]]


def write_series(root: Path, name: str, syntax: str, mark: bytes = b"") -> str:
    """A series of one frame with a mark at its end; returns its UUID."""
    folder = root / phantom_uuid(name)
    folder.mkdir(parents=True)
    frame = encode(syntax, np.tile(np.arange(SIDE, dtype=np.uint8) * 7, (SIDE, 1))) + mark
    (folder / "1.dcm").write_bytes(make_object([frame], syntax))
    return folder.name


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """The rows of one batch over a good and a deadly series of each codec, and one that never comes back."""
    folder = tmp_path_factory.mktemp("codecs")
    root, cache = folder / "series", open_cache(str(folder / "cache"))
    good = [write_series(root, f"{GOOD} {name}", syntax) for name, syntax in CODECS.items()]
    for name, syntax in CODECS.items():
        write_series(root, name, syntax, CRASH)
    write_series(root, "hang", JPEG_LS, HANG)
    expected = draw_undisturbed(root, good)
    where = ("--root", root, "--cache-dir", cache.url, "--timeout-per-series", SECONDS, *ARGUMENTS)
    with run_cluster(folder / "dask", "--preload", str(PRELOAD), environment=QUICK) as cluster:
        outcome = run_batch("mosaic", f"{root}/", *where, "--scheduler-file", cluster.file)
    assert (outcome.status, len(outcome.stdout.splitlines())) == (1, 1)
    check_previews(cache, expected)
    return read_rows(cache)


@pytest.mark.parametrize("name", CODECS)
def test_what_crashes_a_decoder_costs_one_series_and_is_named(rows: Rows, name: str) -> None:
    deadly, good = rows[phantom_uuid(name)], rows[phantom_uuid(f"{GOOD} {name}")]

    assert (deadly["status"], deadly["reason"]) == ("failed", "worker-died")
    assert deadly["series_uuid"] in deadly["error"]
    assert good["status"] == "done"


def test_a_decoder_that_never_comes_back_costs_one_series(rows: Rows) -> None:
    held = rows[phantom_uuid("hang")]

    assert (held["status"], held["reason"]) == ("failed", "worker-died")
