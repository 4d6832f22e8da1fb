"""One preview per series of the data pack on one sheet, with a caption each, to be looked at.

python tests/contact_sheet.py sheet.png [--contrast auto] [SERIES_UUID ...]
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from pathlib import Path

from data_folder import DATA
from PIL import Image, ImageDraw

from dsp_batch.errors import DspBatchError
from dsp_batch.model.contrast import parse_contrast
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import MosaicOptions
from dsp_batch.pipeline import describe_index, index_series, render_preview
from dsp_batch.render.compose import FrameSource
from dsp_batch.storage.store import Store

CELL, CAPTION, PER_ROW = 260, 36, 7


def draw_series(root: Path, series_uuid: str, options: MosaicOptions) -> tuple[Image.Image | None, str]:
    """The preview of one series, cut down to its tiles, and its caption: what it is, or why it has none."""
    ref, store = SeriesRef(root=str(root), series_uuid=series_uuid), Store(str(root))
    try:
        index = index_series(ref, store, None, draw_options=MosaicOptions())
        preview = render_preview(index, FrameSource(store=store), options, ".webp")
    except DspBatchError as error:
        return None, f"{series_uuid[:8]} {error.reason}\n{error.message.partition(' has ')[2][:42]}"
    row = describe_index(index)
    image = Image.open(io.BytesIO(preview.data)).convert("RGB")
    height = image.height // options.grid[0]
    used = -(-preview.n_tiles // options.tile_width)
    cut = image.crop((0, 0, min(preview.n_tiles, options.tile_width) * options.image_width, used * height))
    window = f" {preview.window.width:g}/{preview.window.center:g}" if preview.window else ""
    what = f"{series_uuid[:8]} {row['modality']} {row['n_instances']} instances, {row['n_frames']} frames"
    return cut, f"{what}\n{preview.n_tiles} tiles{window}"


def compose_sheet(cells: Sequence[tuple[Image.Image | None, str]]) -> Image.Image:
    """Previews and captions in rows."""
    rows = -(-len(cells) // PER_ROW)
    sheet = Image.new("RGB", (PER_ROW * CELL, rows * (CELL + CAPTION)), (30, 30, 50))
    draw = ImageDraw.Draw(sheet)
    for number, (image, caption) in enumerate(cells):
        left, top = number % PER_ROW * CELL, number // PER_ROW * (CELL + CAPTION)
        draw.multiline_text((left + 3, top + 2), caption, fill=(255, 230, 120))
        if image is not None:
            scale = (CELL - 4) / max(image.size)
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            sheet.paste(image.resize(size, Image.Resampling.LANCZOS), (left, top + CAPTION))
    return sheet


def main() -> None:
    """Draw what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("series", nargs="*")
    parser.add_argument("--contrast", default="embedded")
    arguments = parser.parse_args()
    root = DATA / "series"
    wanted = [path.name for path in sorted(root.iterdir()) if not arguments.series or path.name in arguments.series]
    options = MosaicOptions(contrast=parse_contrast(arguments.contrast), quality=80)
    compose_sheet([draw_series(root, series_uuid, options) for series_uuid in wanted]).save(arguments.output)


if __name__ == "__main__":
    main()
