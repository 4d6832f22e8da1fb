"""Draw the first page of a PDF with PDFium, where the extra `pdf` is installed."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace

import numpy as np

from dsp_batch.errors import PixelError
from dsp_batch.kinds.objects.quantities import count_noun
from dsp_batch.model.card import Card
from dsp_batch.model.figure import Document
from dsp_batch.model.series import ByteArray

_LOCK = threading.Lock()
"""PDFium is not made for threads: one page at a time in a process."""

_LONGEST_SIDE = 14_400.0
"""Points of the longest side of a page: what PDF 1.7 allows (200 inches)."""


def draw_page(document: Document, height: int, width: int) -> tuple[ByteArray, int]:
    """Draw the first page of a document as large as it fits.

    Args:
        document: The PDF.
        height: Largest height of the page, in pixels.
        width: Largest width.

    Returns:
        RGB, shape (rows, columns, 3), and the number of pages.

    Raises:
        PixelError: It is no PDF, it is damaged or wants a password, or PDFium is not installed.
    """
    try:
        import pypdfium2  # noqa: PLC0415  # an extra
    except ModuleNotFoundError as error:
        raise PixelError("the page is not drawn: pip install 'dsp-batch[pdf]'") from error
    try:
        with _LOCK, closing(pypdfium2.PdfDocument(document.data)) as opened:
            count = len(opened)
            page = opened[0]
            across, down = (min(max(side, 1.0), _LONGEST_SIDE) for side in page.get_size())
            scale = min(width / across, height / down)
            # Forms are not filled in, and scripts not run: PDFium does neither without being told to.
            bitmap = page.render(scale=scale, rev_byteorder=True, may_draw_forms=False)
            pixels = np.ascontiguousarray(bitmap.to_numpy()[:height, :width, :3])
    except (pypdfium2.PdfiumError, IndexError, ValueError) as error:
        raise PixelError(f"the PDF cannot be read: {error}") from error
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    return pixels, count


def caption_page(count: int, card: Card) -> Card:
    """Say which of the pages is drawn."""
    headline = "1 page" if count == 1 else f"page 1 of {count_noun(count, 'page')}"
    return replace(card, headline=headline, n_items=count)
