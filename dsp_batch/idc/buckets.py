"""Series that are read from IDC's own buckets: what the IDC index says of them holds, and IDC's viewers show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsp_batch import idc
from dsp_batch.model.identifiers import normalise_uuid
from dsp_batch.model.series import SeriesRef
from dsp_batch.storage.aws import resolve_endpoint
from dsp_batch.storage.public_buckets import is_idc_root, is_public


def is_indexed(ref: SeriesRef, endpoint_url: str | None = None) -> bool:
    """Whether a series is read from one of IDC's buckets on AWS, by the UUID that the IDC index knows it by.

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
    scheme, _, bucket = ref.root.partition("://")
    if scheme != "s3" or not is_public(bucket, resolve_endpoint(endpoint_url, ref.endpoint_url)):
        return None
    return idc.viewer_url(known["modality"], known["study_instance_uid"], known["series_instance_uid"])
