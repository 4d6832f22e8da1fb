"""Private elements go by their creator and number: each creator is given the same block in all instances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dsp_batch.dicom.headers.dictionary import is_private
from dsp_batch.model.series import RawElement

_FIRST_BLOCK, _LAST_BLOCK = 0x10, 0xFF
"""Blocks of a group. A creator reserves the one that has the number of its own element (PS3.5 7.8.1)."""

Header = Mapping[int, RawElement]
"""The elements of an instance by tag."""

Blocks = Mapping[int, Sequence[int]]
"""Tag of a private creator → tags of the elements in its block that any instance has."""


class _Owner(NamedTuple):
    """Who holds a block of a group in an instance."""

    group: int
    creator: str
    number: int
    """Counts the blocks of one creator in an instance. Of elements without any creator it is their own block."""


def align_private_blocks(headers: Sequence[Header], tags: Sequence[int]) -> Sequence[Header]:
    """Move private elements so that each creator has one block in all instances.

    A creator may reserve another block of its group in each instance. The block that it has in the first instance
    counts, unless another creator has been given that one.

    Args:
        headers: The elements of each instance; not modified.
        tags: All tags that the headers hold, rising.

    Returns:
        The argument itself where nothing must move; else the headers, others in place of those whose elements move.

    References:
        DICOM PS3.5 7.8.1 (Private Data Element Tags).
    """
    private = [tag for tag in tags if is_private(tag)]
    blocks = {
        tag: [each for each in private if each >> 8 == (tag >> 16) << 8 | tag & 0xFF]
        for tag in private
        if _FIRST_BLOCK <= tag & 0xFFFF <= _LAST_BLOCK
    }
    if _are_aligned(headers, blocks):
        return headers
    owners = [_find_owners(header, blocks) for header in headers]
    pairs = {pair for each in owners for pair in each.items()}
    if len(pairs) == len({owner for _, owner in pairs}) == len(blocks):
        return headers  # each owner has one block, and each block one owner
    targets = _assign_blocks(owners, {_block_of(tag) for tag in private})
    return [_move(header, each, targets) for header, each in zip(headers, owners, strict=True)]


def _are_aligned(headers: Sequence[Header], blocks: Blocks) -> bool:
    """Tell at a glance whether all instances have the same creators, each of them once: nearly every series is so."""
    creators = [[header.get(block) for header in headers] for block in blocks]
    same = [of_block[0] for of_block in creators if of_block[0] and of_block.count(of_block[0]) == len(of_block)]
    names = {(block >> 16, creator.text) for block, creator in zip(blocks, same, strict=False)}
    return len(same) == len(names) == len(blocks)


def _find_owners(header: Header, blocks: Blocks) -> dict[int, _Owner]:
    """Find who holds which block in an instance."""
    owners: dict[int, _Owner] = {}
    seen: Counter[tuple[int, str]] = Counter()
    for block, tags in blocks.items():
        group, element = block >> 16, header.get(block)
        if element is not None:
            creator = element.text
            owners[block] = _Owner(group, creator, seen[group, creator])
            seen[group, creator] += 1
        elif any(tag in header for tag in tags):
            owners[block] = _Owner(group, "", block)
    return owners


def _assign_blocks(owners: Sequence[Mapping[int, _Owner]], used: set[int]) -> dict[_Owner, int]:
    """Give each owner a block that no other has: the first that it holds, else one that no instance uses."""
    targets: dict[_Owner, int] = {}
    taken: set[int] = set()
    for each in owners:
        for block, owner in each.items():
            if owner in targets:
                continue
            group = owner.group << 16
            free = (number for number in range(group | _FIRST_BLOCK, (group | _LAST_BLOCK) + 1) if number not in used)
            targets[owner] = block if block not in taken else next(free, block)
            taken.add(targets[owner])
            used.add(targets[owner])
    return targets


def _block_of(tag: int) -> int:
    """Tag of the private creator that an element would have."""
    return tag & 0xFFFF0000 | (tag >> 8 & 0xFF or tag & 0xFF)


def _move(header: Header, owners: Mapping[int, _Owner], targets: Mapping[_Owner, int]) -> Header:
    moves = {block: targets[owner] for block, owner in owners.items() if targets[owner] != block}
    if not moves:
        return header
    return {_move_tag(tag, moves): element for tag, element in header.items()}


def _move_tag(tag: int, moves: Mapping[int, int]) -> int:
    block = _block_of(tag) if is_private(tag) else 0
    if block not in moves:
        return tag
    target = moves[block]
    return target if tag == block else target & 0xFFFF0000 | (target & 0xFF) << 8 | tag & 0xFF
