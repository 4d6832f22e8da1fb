"""What IDC's public buckets are: their names on AWS and at Google, and who serves which."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

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
    """Whether a bucket is known to be readable by everybody."""
    on_google = endpoint_url is not None and urlsplit(endpoint_url).hostname == _GOOGLE_HOST
    return bucket in (_PUBLIC_ON_GOOGLE if on_google else PUBLIC_BUCKETS)


def is_idc_root(root: str) -> bool:
    """Whether a root is one of IDC's public buckets on AWS."""
    return root.startswith("s3://") and root[5:] in PUBLIC_BUCKETS


@lru_cache(maxsize=256)
def place_root(root: str, endpoint_url: str | None = None) -> str:
    """Map a bucket of IDC on Google to its AWS twin, unless Google's own endpoint is read.

    Args:
        root: For example `gs://public-datasets-idc`. Other roots come back unchanged.
        endpoint_url: The S3-compatible server that will be read; None for AWS.
    """
    scheme, _, rest = root.partition("://")
    bucket, slash, path = rest.partition("/")
    twin = GOOGLE_TWINS.get(bucket, bucket if bucket in PUBLIC_BUCKETS else None)
    if twin is None or scheme not in ("gs", "s3"):
        return root
    host = urlsplit(endpoint_url).hostname if endpoint_url else None
    if host == "storage.googleapis.com" or (host is not None and scheme == "s3"):
        return f"s3://{bucket}{slash}{path}"
    return f"s3://{twin}{slash}{path}"
