"""The regions of buckets, learnt from the answers in which S3 refuses a request that was sent to another one."""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from dsp_batch.storage.aws import Access
from dsp_batch.storage.backends.certificates import open_ssl_context
from dsp_batch.storage.runtime import once_in_process
from dsp_batch.storage.usage import count_usage

_ELSEWHERE = re.compile(r"AuthorizationHeaderMalformed|PermanentRedirect|redirect without LOCATION")
_NAMED = re.compile(r"expecting \\?'([a-z0-9-]+)\\?'|<Region>([a-z0-9-]+)</Region>")

REGION_HEADER = "x-amz-bucket-region"
"""Header in which S3 names the region of a bucket to everybody."""

_SECONDS = 10.0
"""Seconds that the question for a region may take."""


def find_region(bucket: str, endpoint_url: str | None) -> str | None:
    """Return the region that S3 has named for a bucket in this process; None where it has not had to."""
    return _learnt_regions().get((bucket, endpoint_url))


def learn_region(access: Access, bucket: str, answer: str) -> bool:
    """Keep the region that S3 names in an answer, or else in a header that it gives to everybody who asks.

    Args:
        access: How the bucket was asked.
        bucket: Name of the bucket.
        answer: The failure, in words.

    Returns:
        True where another attempt, in the region of `find_region`, may help.
    """
    if _ELSEWHERE.search(answer) is None:
        return False
    if find_region(bucket, access.endpoint_url) not in (None, access.region):
        return True  # another request, sent at the same time, has been told already
    named = _NAMED.search(answer)
    region: str | None = (named[1] or named[2]) if named else _ask_region(access.endpoint_url, bucket)
    if region is None or region == access.region:
        return False
    _learnt_regions()[bucket, access.endpoint_url] = region
    return True


def describe_answer(response: Mapping[str, Any]) -> str:
    """Return code, message and region of an answer that botocore has parsed, as `learn_region` takes them."""
    told = response.get("Error", {})
    region = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get(REGION_HEADER) or told.get("Region", "")
    return f"{told.get('Code')} {told.get('Message')} <Region>{region}</Region>"


@once_in_process
def _learnt_regions() -> dict[tuple[str, str | None], str]:
    """Return what this process knows: bucket and endpoint → region."""
    return {}


def _ask_region(endpoint_url: str | None, bucket: str) -> str | None:
    url = f"{endpoint_url.rstrip('/')}/{bucket}" if endpoint_url else f"https://s3.amazonaws.com/{bucket}"
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310  # endpoints are http and https only
    count_usage(requests=1)
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS, context=open_ssl_context()) as answer:  # noqa: S310  # an endpoint is http or https
            headers = answer.headers
    except urllib.error.HTTPError as error:  # 301 and 403 have the header too
        headers = error.headers
    except (OSError, http.client.HTTPException):  # the failure itself is told by whoever asks
        return None
    region = headers.get(REGION_HEADER, "")
    return region if re.fullmatch(r"[a-z0-9-]+", region) else None
