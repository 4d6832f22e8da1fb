"""Decode raw elements to Python values and to the DICOM JSON model (PS3.5 6.2, PS3.18 F)."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Hashable, Iterator, Mapping
from functools import cache, lru_cache
from types import NoneType
from typing import Any

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.headers.dictionary import is_ambiguous_sign, name_of, tag_of
from dsp_batch.dicom.headers.elements import BINARY_VRS, Encoding, nested_encoding
from dsp_batch.dicom.headers.items import Item, parse_items
from dsp_batch.errors import HeaderError
from dsp_batch.model.deadline import check_time
from dsp_batch.model.series import InstanceHeader, RawElement

DicomJson = dict[str, Any]
"""A dataset in the DICOM JSON model: tag as 8 hex digits → {"vr", and "Value" or "InlineBinary"}."""

INTEGER_VRS = frozenset({"IS", "US", "SS", "UL", "SL", "UV", "SV"})
FLOAT_VRS = frozenset({"DS", "FL", "FD"})
_NUMBER_CODES = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_WORD_SIZES = {"OW": 2, "OL": 4, "OF": 4, "OV": 8, "OD": 8}
_SINGLE_VALUED = frozenset({"LT", "ST", "UT", "UR"})
_LOCALIZED = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""VRs that Specific Character Set (0008,0005) governs."""

_SHORT_VALUE = 64
"""Bytes of the longest value in an item whose DICOM JSON is kept: equal values share it."""

_SCALARS = frozenset({str, int, float, bool, NoneType})

_REPLACED = "\ufffd"
"""What a decoder writes in place of bytes that it cannot decode."""

_TEXT_CODECS = ("ascii", "iso", "latin", "utf", "cp", "windows", "koi8", "gb", "big5", "shift_jis", "euc", "johab")
"""How the names of Python's codecs of text begin."""

_TOO_LARGE = 1 << 63
"""Magnitude of an integer string that nothing can hold. Such a damaged number stays text."""

_CHARACTER_SET, _PIXEL_REPRESENTATION = 0x00080005, 0x00280103

DecodedValue = list[Any] | bytes | None
"""A list of texts or numbers, a list of `DicomJson` for a sequence, or bytes (little endian) for a binary value or a
damaged sequence. An empty value is an empty list; None stands for a value that was not read."""


def character_sets(elements: Mapping[int, RawElement], inherited: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Read the values of Specific Character Set (0008,0005), or take those of the enclosing dataset."""
    element = elements.get(_CHARACTER_SET)
    if element is None or not element.value:
        return inherited
    return _split_terms(element.value)


@lru_cache(maxsize=256)
def _split_terms(value: bytes) -> tuple[str, ...]:
    text = value.decode("ascii", "replace").replace("\0", " ")  # damaged ones hold zeros, which no codec's name may
    return tuple(term.strip() for term in text.split("\\"))


def effective_vr(tag: int, element: RawElement, header: InstanceHeader) -> str:
    """Choose the VR to decode with: Pixel Representation decides `US or SS` where the encoding is implicit."""
    if element.vr == "US" and header.implicit_vr and is_ambiguous_sign(tag):
        representation = header.elements.get(_PIXEL_REPRESENTATION)
        if representation is not None and representation.value and any(representation.value):
            return "SS"
    return element.vr


def decode_value(element: RawElement, encoding: Encoding, charsets: tuple[str, ...] = ()) -> DecodedValue:
    """Decode the value field of one element.

    Damaged numbers stay text, as written, and damaged sequences stay bytes, so that they do not hide the rest of the
    header.
    """
    value, vr = element.value, element.vr
    if value is None:
        return None
    if vr == "SQ":
        try:
            return [_item_json(item, charsets) for item in parse_items(value, encoding)]
        except HeaderError:
            return value
    return _decode_plain(vr, value, encoding, charsets)


def _decode_plain(vr: str, value: bytes, encoding: Encoding, charsets: tuple[str, ...]) -> DecodedValue:
    """Decode a value of any VR but SQ."""
    if vr in BINARY_VRS:
        return _little_endian(value, _WORD_SIZES.get(vr, 1)) if encoding.big_endian else value
    if vr in _NUMBER_CODES:
        return _unpack(value, _NUMBER_CODES[vr], encoding.order)
    return _decode_tags(value, encoding) if vr == "AT" else _decode_texts(vr, value, charsets)


def _item_json(item: Item, charsets: tuple[str, ...]) -> DicomJson:
    check_time()
    nested = character_sets(item.elements, charsets)
    dataset: DicomJson = {}
    for tag, (vr, value, _) in item.elements.items():
        if value is None:
            found = value_json(vr, [_item_json(each, nested) for each in item.sequences[tag]])
        elif vr == "SQ":
            found = value_json(vr, value)  # its items are damaged
        elif len(value) <= _SHORT_VALUE:
            found = _short_json(vr, value, item.encoding, nested)
        else:
            found = value_json(vr, _decode_plain(vr, value, item.encoding, nested))
        dataset[f"{tag:08X}"] = found
    return dataset


@lru_cache(maxsize=4096)
def _short_json(vr: str, value: bytes, encoding: Encoding, charsets: tuple[str, ...]) -> DicomJson:
    """Convert a short value to the DICOM JSON model: reports repeat the same codes thousands of times."""
    return value_json(vr, _decode_plain(vr, value, encoding, charsets))


def _decode_tags(value: bytes, encoding: Encoding) -> list[str]:
    words = _unpack(value, "H", encoding.order)
    return [f"{group:04X}{number:04X}" for group, number in zip(words[::2], words[1::2], strict=False)]


def _decode_texts(vr: str, value: bytes, charsets: tuple[str, ...]) -> list[Any]:
    text = _decode_text(value, charsets if vr in _LOCALIZED else ()).rstrip(" \0")
    if vr in _SINGLE_VALUED or not text:
        return [text] if text else []
    parts = text.split("\\")
    if vr == "DS":
        return _parse_floats(parts)
    parts = [part.strip(" \0") for part in parts]
    return [_parse_integer(part) for part in parts] if vr == "IS" else parts


def _parse_floats(parts: list[str]) -> list[Any]:
    """Parse decimal texts, at once where all are sound: the points of a contour are thousands of them."""
    try:
        return [*map(float, parts)]
    except ValueError:
        return [_parse_float(part.strip(" \0")) for part in parts]


def _unpack(value: bytes, code: str, order: str) -> list[Any]:
    count = len(value) // struct.calcsize(order + code)
    return list(struct.unpack_from(f"{order}{count}{code}", value))


def _little_endian(value: bytes, word: int) -> bytes:
    whole = len(value) - len(value) % word
    swapped = bytearray(value[:whole])
    for offset in range(word):
        swapped[offset::word] = value[word - 1 - offset : whole : word]
    return bytes(swapped)


def _parse_integer(text: str) -> int | str | None:
    if not text:
        return None
    try:
        number: float | str | None = int(text)
    except ValueError:
        number = _parse_float(text)
    if isinstance(number, int | float) and abs(number) < _TOO_LARGE and number == int(number):
        return int(number)
    return text


def _parse_float(text: str) -> float | str | None:
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        if text.count(",") == 1 and "." not in text:
            return _parse_float(text.replace(",", "."))  # a comma is no character of DS (PS3.5 6.2): a decimal comma
        return text


def _decode_text(value: bytes, charsets: tuple[str, ...]) -> str:
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii")
    import warnings  # noqa: PLC0415  # only with the import below

    from pydicom.charset import decode_bytes  # noqa: PLC0415  # most headers are ASCII and never need it

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # bytes that are no text in their character set are shown as such
        decoded: str = decode_bytes(value, _encodings(charsets), set(b"\\^=\n\r\f"))
    # Bytes that are no text of the declared character set are Latin-1 more often than anything else.
    return decoded if _REPLACED not in decoded or _REPLACED.encode() in value else value.decode("latin-1")


@cache
def _encodings(charsets: tuple[str, ...]) -> list[str]:
    import warnings  # noqa: PLC0415  # only with the import below

    from pydicom.charset import convert_encodings  # noqa: PLC0415  # most headers are ASCII and never need it

    # Python's registry of codecs raises on a NUL; an empty name is that of the default character set.
    names = [name if name.isprintable() else "" for name in charsets]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an unknown character set is read as the default one
        encodings: list[str] = convert_encodings(names or "")
    # Python knows codecs under other names that are none of text (rot13), or that refuse most of it (idna).
    return [name if name.lower().startswith(_TEXT_CODECS) else "latin_1" for name in encodings]


def value_json(vr: str, decoded: DecodedValue) -> DicomJson:
    """Convert one element to the DICOM JSON model (PS3.18 F.2); a damaged sequence becomes an unknown value."""
    if isinstance(decoded, bytes):
        vr = "UN" if vr == "SQ" else vr
        return {"vr": vr, "InlineBinary": base64.b64encode(decoded).decode("ascii")} if decoded else {"vr": vr}
    if not decoded:
        return {"vr": vr}
    if vr == "PN":
        return {"vr": vr, "Value": [_person_name(text) for text in decoded]}
    if vr in FLOAT_VRS and not _are_finite(decoded):
        return {"vr": vr, "Value": [_finite(value) for value in decoded]}
    return {"vr": vr, "Value": list(decoded)}


def _are_finite(values: list[Any]) -> bool:
    """Tell whether all values are finite numbers. False for some that are, whose sum is not."""
    try:
        return math.isfinite(sum(values))
    except TypeError:  # a text, or no value
        return False


def _finite(value: Any) -> Any:
    """Turn NaN and infinity into text, because JSON has neither."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _person_name(text: str) -> dict[str, str]:
    groups = zip(("Alphabetic", "Ideographic", "Phonetic"), text.split("="), strict=False)
    return {name: group for name, group in groups if group}


def decoding_key(header: InstanceHeader) -> Hashable:
    """Make a key that is equal for instances that decode equal elements alike."""
    representation = header.elements.get(_PIXEL_REPRESENTATION)
    sign = representation and representation.value
    return header.implicit_vr, header.big_endian, character_sets(header.elements), sign


class HeaderDecoder:
    """Decodes the elements of one instance, and of those with the same `decoding_key`."""

    def __init__(self, header: InstanceHeader) -> None:
        self.header = header
        self._encoding = Encoding(header.implicit_vr, header.big_endian)
        self._charsets = character_sets(header.elements)

    def decode(self, tag: int, element: RawElement) -> DecodedValue:
        """Decode one element of the header."""
        encoding = Encoding() if tag >> 16 == 2 else nested_encoding(self._encoding, element.vr)
        vr = effective_vr(tag, element, self.header)
        if vr != element.vr:
            element = element._replace(vr=vr)
        return decode_value(element, encoding, self._charsets)

    def json(self, tag: int, element: RawElement) -> DicomJson:
        """Convert one element of the header to the DICOM JSON model."""
        return value_json(effective_vr(tag, element, self.header), self.decode(tag, element))

    def attributes(self) -> Attributes:
        """Return the attributes of the whole header, which are decoded when asked for."""
        return Attributes(JsonAttributes(_HeaderJson(self)))


class _HeaderJson(Mapping[str, DicomJson]):
    """The elements of a header in the DICOM JSON model. Each is decoded when it is asked for."""

    def __init__(self, decoder: HeaderDecoder) -> None:
        self._decoder = decoder
        self._elements = decoder.header.elements

    def __getitem__(self, name: str) -> DicomJson:
        tag = int(name, 16)
        return self._decoder.json(tag, self._elements[tag])

    def __iter__(self) -> Iterator[str]:
        return (f"{tag:08X}" for tag in self._elements)

    def __len__(self) -> int:
        return len(self._elements)


@lru_cache(maxsize=4096)
def _json_tag(keyword: str) -> str:
    """Write the tag of a keyword as the DICOM JSON model does; empty for what is no keyword."""
    tag = tag_of(keyword)
    return "" if tag is None else f"{tag:08X}"


class JsonAttributes(Mapping[str, Any]):
    """The values of a DICOM JSON dataset by keyword, each converted when it is asked for."""

    __slots__ = ("_known", "_values")

    def __init__(self, dataset: Mapping[str, Any]) -> None:
        self._values = dataset
        self._known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            tag = _json_tag(name)
            if not tag:
                raise KeyError(name)
            self._known[name] = element_value(self._values[tag])
        return self._known[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of an element, or what is given instead. Most that are asked for are absent."""
        if name in self._known:
            return self._known[name]
        tag = _json_tag(name)
        element = self._values.get(tag) if tag else None
        if element is None:
            return default
        self._known[name] = value = element_value(element)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name_of(int(tag, 16)) for tag in self._values)

    def __len__(self) -> int:
        return len(self._values)


def element_value(element: Mapping[str, Any]) -> Any:
    """Convert one element of the DICOM JSON model to a value as `Attributes` takes it.

    Raises:
        HeaderError: It is no element of that model: a cached index holds what whoever wrote it has put there.
    """
    try:
        vr, values, binary = element["vr"], element.get("Value", ()), element.get("InlineBinary")
        if binary is not None:
            return base64.b64decode(binary)
        if vr == "SQ" and all(isinstance(item, dict) for item in values):
            return [Attributes(JsonAttributes(item)) for item in values]
        if vr == "PN":
            values = ["=".join(value.values()) if isinstance(value, dict) else value for value in values]
        if isinstance(vr, str) and vr != "SQ" and _SCALARS.issuperset(map(type, values)):
            return list(values)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise HeaderError(f"an element is no DICOM JSON: {type(error).__name__}") from error
    raise HeaderError("an element is no DICOM JSON: its values are of another type")
