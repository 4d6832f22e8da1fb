"""What a bucket tells browsers about the objects that the programs write."""

import pytest
from servers import S3Server

from dsp_batch.cache import open_cache
from dsp_batch.storage.objects import write_whole

_TYPES = {
    "a/x.webp": "image/webp",
    "x.JPG": "image/jpeg",
    "product.json": "application/json",
    "failed.txt": "text/plain; charset=utf-8",
    "x_index.parquet": "application/vnd.apache.parquet",
    "index.html": "text/html; charset=utf-8",
    "x": "application/octet-stream",
}


@pytest.mark.parametrize("key", _TYPES)
def test_objects_have_the_content_type_of_their_name(s3_environment: S3Server, bucket: str, key: str) -> None:
    write_whole(f"s3://{bucket}/{key}", b"1")

    found = s3_environment.client().head_object(Bucket=bucket, Key=key)
    assert found["ContentType"] == _TYPES[key]
    assert "CacheControl" not in found


def test_a_cache_sets_the_header_that_it_was_opened_with(s3_environment: S3Server, bucket: str) -> None:
    open_cache(f"s3://{bucket}/cache", cache_control="public, max-age=60").write("x.json", b"{}")

    found = s3_environment.client().head_object(Bucket=bucket, Key="cache/x.json")
    assert (found["CacheControl"], found["ContentType"]) == ("public, max-age=60", "application/json")
