"""Pseudonyms in place of the attributes of patients, in everything that the API tells."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dsp_batch.dicom.headers.attributes import Attributes

_PATIENT_GROUP = "0010"

_IDENTIFYING = frozenset(
    {
        "AccessionNumber",
        "AdmissionID",
        "CountryOfResidence",
        "CurrentPatientLocation",
        "FillerOrderNumberImagingServiceRequest",
        "InstitutionAddress",
        "InstitutionName",
        "InstitutionalDepartmentName",
        "IssuerOfAdmissionID",
        "IssuerOfPatientID",
        "IssuerOfServiceEpisodeID",
        "PatientInstitutionResidence",
        "PersonAddress",
        "PersonTelephoneNumbers",
        "PlacerOrderNumberImagingServiceRequest",
        "ReferringPhysicianAddress",
        "ReferringPhysicianTelephoneNumbers",
        "RequestedProcedureID",
        "ScheduledProcedureStepID",
        "ServiceEpisodeID",
        "StudyID",
    }
)
"""Elements outside of group 0010 that lead to a patient (PS3.15 E.1-1)."""

_SECRETS = ("PatientID", "OtherPatientIDs", "PatientName", "OtherPatientNames", "PatientBirthName", "PatientBirthDate")
"""Elements whose values must not stand in any other element either."""

_SHORTEST_SECRET = 3
"""Characters of the shortest word that is looked for in other texts; of letters that are no ASCII, one fewer."""

PERSON = "person"
"""What stands in place of the names of everybody but the patient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """The mask of one patient."""

    pseudonym: str
    secrets: re.Pattern[str] | None
    """What of the patient's attributes is looked for in other texts; None where there is nothing."""

    def hide(self, text: str) -> str:
        """Replace what a text says of the patient."""
        return text if self.secrets is None else self.secrets.sub(self.pseudonym, text)

    def hide_value(self, value: Any) -> Any:
        """Replace what a JSON value says of the patient."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, list):
            return [self.hide_value(each) for each in value]
        return value

    @staticmethod
    def conceals(tag: str, keyword: str | None) -> bool:
        """Tell whether an element is hidden whole: those of the patient, and private ones, which may hold anything."""
        is_private = int(tag[:4], 16) % 2 == 1 and not tag[4:].startswith("00")
        return tag.startswith(_PATIENT_GROUP) or keyword in _IDENTIFYING or is_private

    def hide_node(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """Mask an element as `tags` tells of it."""
        tag, vr, keyword = node["tag"], node["vr"], node["keyword"]
        if keyword in ("PatientName", "PatientID"):
            return {**node, "value": self.pseudonym}
        if self.conceals(tag, keyword):
            shown = {name: node[name] for name in ("tag", "vr", "keyword", "varies") if name in node}
            return {**shown, "value": None, "masked": True}
        if vr == "PN" and node.get("value"):
            return {**node, "value": PERSON}
        return {**node, "value": self.hide_value(node["value"])} if "value" in node else dict(node)


@dataclass(slots=True, kw_only=True)
class Pseudonyms:
    """Gives each patient a pseudonym, which holds as long as the viewer runs."""

    _names: dict[tuple[str, str], str] = field(default_factory=dict)
    _masks: dict[tuple[str, str, tuple[str, ...]], Mask] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def mask(self, attributes: Attributes) -> Mask:
        """Make the mask of the patient of a header."""
        words = tuple(sorted({*_list_secrets(attributes)}, key=len, reverse=True))
        key = attributes.text("PatientID") or "", attributes.text("PatientName") or "", words
        with self._lock:
            if key not in self._masks:
                pseudonym = self._names.setdefault(key[:2], f"patient-{len(self._names) + 1}")
                pattern = re.compile("|".join(map(re.escape, words)), re.IGNORECASE) if words else None
                self._masks[key] = Mask(pseudonym=pseudonym, secrets=pattern)
            return self._masks[key]


def _list_secrets(attributes: Attributes) -> Iterator[str]:
    for keyword in _SECRETS:
        for text in attributes.texts(keyword):
            yield from filter(_is_telling, (text, *re.split(r"[\^=\s,.]+", text)))
    for item in attributes.items("OtherPatientIDsSequence"):
        yield from filter(_is_telling, item.texts("PatientID"))


def _is_telling(text: str) -> bool:
    return len(text) + (not text.isascii()) >= _SHORTEST_SECRET
