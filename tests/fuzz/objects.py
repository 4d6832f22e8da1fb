"""Objects that fuzzing begins with: generated ones of many kinds, and small real ones where the data folder is."""

from __future__ import annotations

from functools import cache
from typing import Any

import pydicom
from case import CANARY
from data_folder import DATA, list_objects
from elements import Element, Object, parse_object, with_values
from phantom_enhanced import build_enhanced_mr
from pydicom import uid

from dsp_batch.phantom import series as phantom

_LARGEST = 60_000
"""Bytes of the largest real object that is taken."""

_MOST = 150
"""Real objects that are taken at most."""

_PATIENT = [
    Element(tag=0x00100010, vr="PN", value=f"{CANARY}^NAME ".encode()),
    Element(tag=0x00100020, vr="LO", value=f"{CANARY}-ID ".encode()),
    Element(tag=0x00100030, vr="DA", value=b"19700101"),
    Element(tag=0x00104000, vr="LT", value=f"{CANARY} COMMENT".encode()),
]


@cache
def load_seeds() -> tuple[Object, ...]:
    """Objects of many kinds and transfer syntaxes, each with the patient that no message may name."""
    return tuple(with_values(parse_object(data), _PATIENT) for data in (*_generate(), *_take_real()))


@cache
def load_neighbours() -> tuple[bytes, ...]:
    """Two good objects of one series."""
    return tuple(each.data for each in phantom.build_ct(count=2, size=16).objects)


def _generate() -> list[bytes]:
    syntaxes = (
        uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.DeflatedExplicitVRLittleEndian, uid.JPEGLSLossless,
        uid.JPEG2000Lossless, uid.JPEGLosslessSV1, uid.RLELossless, uid.HTJ2KLossless, uid.ExplicitVRLittleEndian,
    )  # fmt: skip
    series = [
        *(phantom.build_ct(count=1, size=16, transfer_syntax=syntax) for syntax in syntaxes),
        phantom.build_mr(count=1, rows=16, columns=12),
        phantom.build_pet(count=1, size=16),
        phantom.build_palette_ultrasound(rows=16, columns=20),
        phantom.build_ultrasound(count=2, rows=16, columns=20),
        phantom.build_radiograph(rows=20, columns=16),
        phantom.build_report(),
        build_enhanced_mr(count=3, size=16),
    ]
    return [item.data for each in series for item in each.objects]


def _take_real() -> list[bytes]:
    if not DATA.is_dir():
        return []
    found = [
        path
        for folder in ("broken", "codecs", "objects", "reports", "hostile")
        for path in list_objects(DATA / folder)
        if path.stat().st_size <= _LARGEST and path.suffix in ("", ".dcm") and _is_readable(path)
    ]
    return [path.read_bytes() for path in found[:: max(1, len(found) // _MOST)]]


def _is_readable(path: Any) -> bool:
    try:
        parse_object(path.read_bytes())
    except Exception:  # noqa: BLE001  # pydicom cannot read it, whatever it says
        return False
    return bool(pydicom)
