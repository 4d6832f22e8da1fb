"""Which pictures are worth a tile: where some turn out to show nothing, others are looked for in their place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dsp_batch.core.selection import distribute, find_substitutes, list_neighbours
from dsp_batch.kinds.kind import Picture
from dsp_batch.model.frame import StoredFrame
from dsp_batch.render.choose import Drawables, drawer_of
from dsp_batch.render.compose import MAX_READ, Painting, paint_group, split_pictures

_LOOKS = 3
"""Times that pictures are looked at, the first included: at most 3 times as many are read as are drawn."""


def spread_pictures(painting: Painting, tiles: int) -> Painting:
    """Choose pictures spread evenly, and others for those of them that are blank, as far as a few looks find any.

    Args:
        painting: All pictures of the range, in display order.
        tiles: Pictures to choose.

    Returns:
        What is to be painted. Where nothing was found that is not blank, the pictures spread evenly.
    """
    pictures = painting.pictures
    chosen = distribute(len(pictures), tiles)
    if not _may_be_blank(painting, [pictures[place] for place in chosen]):
        return replace(painting, pictures=[pictures[place] for place in chosen])
    kept: dict[Picture, StoredFrame] = {}
    is_blank: dict[int, bool] = {}
    found = chosen.tolist()
    for _ in range(_LOOKS):
        blank = _look(replace(painting, pictures=[pictures[place] for place in found]), kept)
        is_blank |= zip(found, blank, strict=True)
        places = np.array(sorted(is_blank))
        blanks = np.array([is_blank[place] for place in places.tolist()])
        found = find_substitutes(len(pictures), places, blanks, len(chosen) - int((~blanks).sum())).tolist()
        if not found:
            break
    filled = places[~blanks] if not blanks.all() else chosen
    return replace(painting, pictures=[pictures[place] for place in filled], painted=kept)


def nearest_picture(painting: Painting, drawables: Drawables, place: int) -> Painting:
    """Choose the picture at a place; where it is blank, the nearest of a few others of the main stack that is not."""
    chosen = replace(painting, pictures=[drawables.pictures[place]])
    kept: dict[Picture, StoredFrame] = {}
    if not _may_be_blank(chosen, chosen.pictures) or not _look(chosen, kept)[0]:
        return replace(chosen, painted=kept)
    main = int(np.count_nonzero(drawables.order.stack == 0))
    near = [drawables.pictures[other] for other in list_neighbours(main, place)]
    _look(replace(painting, pictures=near), kept)
    filled = [picture for picture in near if picture in kept]
    return replace(painting, pictures=filled[:1], painted=kept) if filled else chosen


def _may_be_blank(painting: Painting, pictures: Sequence[Picture]) -> bool:
    return any(drawer_of(painting.view, picture).is_blank is not None for picture in pictures)


def _look(painting: Painting, kept: dict[Picture, StoredFrame]) -> list[bool]:
    """Tell which pictures are blank, and keep the others that were read, as far as memory allows."""
    blank: list[bool] = []
    for group in split_pictures(painting):
        for picture, drawn in zip(group.pictures, paint_group(group), strict=True):
            tells = drawer_of(painting.view, picture).is_blank
            is_blank = isinstance(drawn, StoredFrame) and tells is not None and tells(drawn)
            blank.append(is_blank)
            used = sum(each.values.nbytes for each in kept.values())
            if isinstance(drawn, StoredFrame) and not is_blank and (not kept or used + drawn.values.nbytes <= MAX_READ):
                kept[picture] = drawn
    return blank
