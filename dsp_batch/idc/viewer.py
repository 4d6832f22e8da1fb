"""Series that are read from IDC's own buckets: what the index says of them holds, and IDC's viewers show them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dsp_batch.model.identifiers import normalise_uuid
from dsp_batch.model.series import SeriesRef
from dsp_batch.storage.aws import resolve_endpoint
from dsp_batch.storage.public_buckets import is_idc_root, is_public
from dsp_batch.storage.urls import parse_location

_VIEWERS = "https://viewer.imaging.datacommons.cancer.gov"
_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)


def is_indexed(ref: SeriesRef, endpoint_url: str | None = None) -> bool:
    """Tell whether a series is read from one of IDC's buckets on AWS, by a UUID that the IDC index may know.

    Args:
        ref: The series.
        endpoint_url: S3-compatible server given by hand.
    """
    on_aws = resolve_endpoint(endpoint_url, ref.endpoint_url) is None
    return on_aws and is_idc_root(ref.root) and normalise_uuid(ref.series_uuid) == ref.series_uuid


def link_viewer(ref: SeriesRef, endpoint_url: str | None, known: Mapping[str, Any]) -> str | None:
    """The page of a series in IDC's viewers.

    Args:
        ref: The series.
        endpoint_url: S3-compatible server given by hand.
        known: `modality`, `study_instance_uid` and `series_instance_uid`.

    Returns:
        The URL; None for series of other buckets than IDC's, which may be on AWS, at Google or mirrored.
    """
    server = resolve_endpoint(endpoint_url, ref.endpoint_url)
    location = parse_location(ref.root, server)
    if location.scheme != "s3" or location.parts or not is_public(location.container, server):
        return None
    return viewer_url(known["modality"], known["study_instance_uid"], known["series_instance_uid"])


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
