"""Tables: VOI, modality and palette tables of any width under any declaration, and windows → pictures."""

from __future__ import annotations

import struct

import target_series
from case import Case, Target
from chance import Chance
from elements import Element, Object, parse_object, with_values, write_object
from objects import load_seeds
from pydicom.datadict import tag_for_keyword

from dsp_batch.phantom import series as phantom

_CHANNELS = ("Red", "Green", "Blue")


def make(chance: Chance) -> Case:
    """Put tables and windows into an image, whole or segmented, as they come."""
    gray = chance.choice((phantom.build_ct, phantom.build_pet))(count=1, size=16).objects[0].data
    palette = phantom.build_palette_ultrasound(rows=16, columns=20).objects[0].data
    image = parse_object(palette if chance.one_in(2) else gray) if not chance.one_in(4) else chance.choice(load_seeds())
    for add in chance.some((_add_voi, _add_modality, _add_palette, _add_window), 3):
        image = add(image, chance)
    settings = {"verb": chance.choice(("preview", "mosaic", "image")), "beside": False, "cache": False}
    return Case(data=write_object(image, chance), settings=settings)


def _element(keyword: str, vr: str, value: bytes) -> Element:
    return Element(tag=tag_for_keyword(keyword) or 0, vr=vr, value=value)


def _words(*numbers: int) -> bytes:
    return b"".join(struct.pack("<H", number & 0xFFFF) for number in numbers)


def _make_descriptor(chance: Chance, entries: int) -> bytes:
    count = chance.choice((entries, entries, entries, 0, 1, entries - 1, entries + 1, 65535, chance.number()))
    first = chance.choice((0, 0, 0x8000, 0xFC00, 100, chance.number()))
    bits = chance.choice((8, 16, 12, 10, 0, 1, 32, chance.number()))
    return _words(*(count, first, bits)[: 3 if not chance.one_in(12) else chance.randint(0, 3)])


def _make_entries(chance: Chance) -> tuple[int, bytes]:
    count = chance.choice((0, 1, 2, 255, 256, 257, 1024, 4096, 65536))
    top = (1 << chance.choice((1, 4, 8, 10, 12, 16))) - 1
    step = chance.choice((1, 3, 17))
    if chance.one_in(2):
        return count, bytes(min(at * step, top) & 0xFF for at in range(count + count % 2))
    return count, _words(*(min(at * step, top) for at in range(count)))


def _add_table(image: Object, keyword: str, chance: Chance) -> Object:
    count, data = _make_entries(chance)
    item = [
        _element("LUTDescriptor", chance.choice(("US", "SS", "OW")), _make_descriptor(chance, count)),
        _element("LUTData", chance.choice(("US", "OW", "OB", "SS")), data),
        _element("ModalityLUTType", "LO", b"HU"),
    ]
    items = [item] * chance.choice((0, 1, 1, 2))
    return with_values(image, [Element(tag=tag_for_keyword(keyword) or 0, vr="SQ", value=items)])


def _add_voi(image: Object, chance: Chance) -> Object:
    return _add_table(image, "VOILUTSequence", chance)


def _add_modality(image: Object, chance: Chance) -> Object:
    return _add_table(image, "ModalityLUTSequence", chance)


def _add_palette(image: Object, chance: Chance) -> Object:
    values = [_element("PhotometricInterpretation", "CS", b"PALETTE COLOR ")] if chance.one_in(2) else []
    values += [_element("PixelPresentation", "CS", b"COLOR ")] if chance.one_in(3) else []
    for channel in _CHANNELS:
        count, data = _make_entries(chance)
        is_segmented = chance.one_in(3)
        data = _make_segments(chance) if is_segmented else data
        name = f"{'Segmented' if is_segmented else ''}{channel}PaletteColorLookupTableData"
        descriptor = f"{channel}PaletteColorLookupTableDescriptor"
        values += [_element(descriptor, "US", _make_descriptor(chance, count)), _element(name, "OW", data)]
    return with_values(image, values[: len(values) if not chance.one_in(6) else 3])


def _make_segments(chance: Chance) -> bytes:
    """Discrete, linear and indirect segments, in words or bytes."""
    codes: list[int] = []
    for _ in range(chance.randint(0, 6)):
        opcode, length = chance.choice((0, 1, 1, 2, 3)), chance.choice((0, 1, 3, 100, 255, 65535))
        rest = {0: [7] * min(length, 300), 1: [chance.number()], 2: [chance.randrange(8), 0]}.get(opcode, [])
        codes += [opcode, length, *rest]
    return _words(*codes) if chance.one_in(2) else bytes(code & 0xFF for code in codes)


def _add_window(image: Object, chance: Chance) -> Object:
    texts = [
        "\\".join(chance.text() for _ in range(chance.randint(1, 3))).encode("latin-1", "replace") for _ in range(2)
    ]
    center, width = (text + b" " * (len(text) % 2) for text in texts)
    function = chance.choice((b"LINEAR", b"SIGMOID ", b"LINEAR_EXACT", b"X "))
    return with_values(
        image,
        [
            _element("WindowCenter", "DS", center),
            _element("WindowWidth", "DS", width),
            _element("VOILUTFunction", "CS", function),
        ],
    )


TARGET = Target("tables", make, target_series.attempt)
