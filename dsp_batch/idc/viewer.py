"""IDC's viewers: where a series can be looked at."""

from __future__ import annotations

import re

_VIEWERS = "https://viewer.imaging.datacommons.cancer.gov"
_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)


def viewer_url(modality: str | None, study_instance_uid: str | None, series_instance_uid: str | None) -> str | None:
    """The page of a series of IDC: slides in SLIM, everything else in OHIF.

    Args:
        modality: Modality (0008,0060).
        study_instance_uid: StudyInstanceUID (0020,000D).
        series_instance_uid: SeriesInstanceUID (0020,000E).

    Returns:
        The URL; None where a UID is missing or none.
    """
    study, series = study_instance_uid or "", series_instance_uid or ""
    if not (_UID.fullmatch(study) and _UID.fullmatch(series)):
        return None
    if modality == "SM":
        return f"{_VIEWERS}/slim/studies/{study}/series/{series}"
    return f"{_VIEWERS}/v3/viewer/?StudyInstanceUIDs={study}&initialSeriesInstanceUID={series}"
