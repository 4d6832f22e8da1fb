"""IDC's public buckets: their names on AWS and at Google."""

from __future__ import annotations

from functools import lru_cache

GOOGLE_TWINS = {
    "public-datasets-idc": "idc-open-data",
    "idc-open-idc1": "idc-open-data-two",
    "idc-open-cr": "idc-open-data-cr",
}
"""Google bucket → the AWS bucket with the same keys (IDC keeps both in step)."""

PUBLIC_BUCKETS = frozenset(GOOGLE_TWINS.values())
"""IDC's buckets on AWS."""

PUBLIC_REGION = "us-east-1"
"""Where all of them are."""

DEFAULT_ROOT = "s3://idc-open-data"
"""Where a series is looked for that does not say it itself: the largest of them."""

_GOOGLE_HOST = "storage.googleapis.com"
_PUBLIC_ON_GOOGLE = PUBLIC_BUCKETS | GOOGLE_TWINS.keys()


def is_public(bucket: str, endpoint_url: str | None) -> bool:
    """Tell whether a bucket is known to be readable by everybody."""
    on_google = _host_of(endpoint_url) == _GOOGLE_HOST
    return bucket in (_PUBLIC_ON_GOOGLE if on_google else PUBLIC_BUCKETS)


def is_idc_root(root: str) -> bool:
    """Tell whether a root is one of IDC's public buckets on AWS."""
    return root.startswith("s3://") and root[5:] in PUBLIC_BUCKETS


@lru_cache(maxsize=256)
def find_twin(scheme: str, bucket: str, endpoint_url: str | None) -> tuple[str, str]:
    """Map a bucket of IDC at Google to its AWS twin, unless Google's own endpoint is read.

    Args:
        scheme: `gs` or `s3`; other schemes come back unchanged.
        bucket: Name of the bucket; those that are not IDC's come back unchanged.
        endpoint_url: The S3-compatible server that will be read; None for AWS.

    Returns:
        Scheme and bucket to read from.
    """
    twin = GOOGLE_TWINS.get(bucket, bucket if bucket in PUBLIC_BUCKETS else None)
    if twin is None or scheme not in ("gs", "s3"):
        return scheme, bucket
    host = _host_of(endpoint_url)
    keeps_name = host == _GOOGLE_HOST or (host is not None and scheme == "s3")
    return "s3", bucket if keeps_name else twin


def _host_of(endpoint_url: str | None) -> str | None:
    from urllib.parse import urlsplit  # noqa: PLC0415  # `--help` names the default root, and does without it

    return urlsplit(endpoint_url).hostname if endpoint_url else None
