"""pydicom's DICOM JSON as PS3.18 F writes it, in the few places where the two differ."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

_WORDS = {"OW": 2, "OL": 4, "OF": 4, "OV": 8, "OD": 8}


def expected_elements(dataset: Dataset, *, big_endian: bool = False) -> dict[str, Any]:
    """The elements of a dataset in the JSON model, nested group lengths left out as retired."""
    return {
        f"{int(tag):08X}": expected_json(dataset[tag], big_endian=big_endian)
        for tag in dataset.keys()  # noqa: SIM118  # a Dataset iterates over elements, not tags
        if int(tag) & 0xFFFF
    }


def expected_json(element: DataElement, *, big_endian: bool = False) -> dict[str, Any]:
    """One element in the JSON model (PS3.18 F.2).

    pydicom leaves binary values big endian, gives empty sequences a Value, keeps the padding of values within a list,
    and gives group lengths.
    """
    if element.VR == "SQ":
        items = [expected_elements(item, big_endian=big_endian) for item in element.value]
        return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
    found = element.to_json_dict(None, 0)
    if "InlineBinary" in found and big_endian and element.VR in _WORDS:
        words = np.frombuffer(base64.b64decode(found["InlineBinary"]), f"V{_WORDS[element.VR]}")
        found["InlineBinary"] = base64.b64encode(words.view(f">u{words.itemsize}").byteswap().tobytes()).decode()
    if "Value" in found:
        found["Value"] = [value.strip(" ") if isinstance(value, str) else value for value in found["Value"]]
    return found
