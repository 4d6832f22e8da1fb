"""UIDs of the transfer syntaxes, by the way they encode pixels (PS3.5 A, PS3.6 A)."""

from __future__ import annotations

from collections.abc import Mapping

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
GE_PRIVATE_BIG = "1.2.840.113619.5.2"
"""The header has implicit VR and is little endian; the pixels are big endian."""

DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
RLE = "1.2.840.10008.1.2.5"

NATIVE = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED, GE_PRIVATE_BIG})
"""Transfer syntaxes whose pixels lie uncompressed, one after the other."""

BIG_ENDIAN = frozenset({EXPLICIT_BIG, GE_PRIVATE_BIG})

JPEG_LOSSY = frozenset(
    f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 52, 53, 54, 55, 56, 59, 60, 61, 62, 63, 64)
)
"""JPEG's baseline and extended processes, and its retired ones: spectral selection, full progression, hierarchical."""

JPEG_LOSSLESS = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (57, 58, 65, 66, 70))
JPEG_LS = frozenset({"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"})
JPEG_2000 = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (90, 91, 92, 93))
HTJ2K = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (201, 202, 203))
JPEG_XL = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (110, 111, 112))

JPEG_EXTENDED, JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.70"
JPEG_LS_LOSSLESS = "1.2.840.10008.1.2.4.80"
JPEG_2000_LOSSLESS, JPEG_2000_ANY = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"
JPEG_XL_ANY = "1.2.840.10008.1.2.4.112"

LOSSY = JPEG_LOSSY | frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (81, 91, 93, 203, 112))
"""Transfer syntaxes whose values may exceed the stored bits. They are clipped; unused bits of others are masked out."""

_VIDEO = "1.2.840.10008.1.2.4.10"
"""Prefix of the video transfer syntaxes: MPEG-2, H.264 and HEVC are 1.2.840.10008.1.2.4.100 to .108."""


_CODECS: Mapping[str, str] = {
    "": "no transfer syntax",
    **dict.fromkeys(NATIVE, "uncompressed"),
    DEFLATED_FRAMES: "deflated frames",
    RLE: "RLE",
    **dict.fromkeys(JPEG_LOSSY, "lossy JPEG"),
    **dict.fromkeys(JPEG_LOSSLESS, "lossless JPEG"),
    **dict.fromkeys(JPEG_LS, "JPEG-LS"),
    **dict.fromkeys(JPEG_2000 | HTJ2K, "JPEG 2000"),
    **dict.fromkeys(JPEG_XL, "JPEG XL"),
}
"""Names of codecs, by the UIDs of their transfer syntaxes."""


def escape_controls(uid: str) -> str:
    """Write the control characters of a damaged UID out, so that messages about it stay on their line."""
    return uid if uid.isprintable() else uid.encode("unicode_escape").decode("ascii")


def name_codec(uid: str) -> str:
    """Name the codec of a transfer syntax in a few words: `lossless JPEG`; the UID itself where it is unknown."""
    return _CODECS.get(uid, uid)


def is_native(uid: str) -> bool:
    """Tell whether pixels lie uncompressed. Objects that name no transfer syntax count as uncompressed."""
    return uid in NATIVE or not uid


def describe_syntax(uid: str) -> str:
    """Name a transfer syntax that is not decoded, and say what would decode it."""
    from pydicom.config import IGNORE  # noqa: PLC0415  # as the next import
    from pydicom.uid import UID  # noqa: PLC0415  # pydicom takes most of a second to import, and few need this

    name = UID(uid, validation_mode=IGNORE).name  # its warnings would show the text on the terminal
    named = f"{uid} ({name})" if name != uid else f"{uid} (unknown, perhaps private)"
    if uid.startswith(_VIDEO):
        return f"{named}: a video decoder such as ffmpeg would read it"
    if uid.startswith("1.2.840.10008.1.2.4.9"):
        return f"{named}: a JPIP client would fetch it from its server"
    return f"{named}: a transcoder such as dcmconv, dcmdjpeg or gdcmconv may turn it into an uncompressed one"
