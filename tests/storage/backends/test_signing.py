"""Signatures of listings, beside botocore's own."""

from datetime import UTC, datetime

import pytest
from botocore import auth, awsrequest, credentials

from dsp_batch.storage.aws import EnvironmentKeys
from dsp_batch.storage.backends.s3_listing import listing_url
from dsp_batch.storage.backends.signing import sign_get


@pytest.mark.parametrize("token", [None, "a/session+token=="])
@pytest.mark.parametrize(
    "bucket_url", ["http://127.0.0.1:9000/bucket", "https://bucket.s3.eu-central-1.amazonaws.com/"]
)
@pytest.mark.parametrize("prefix", ["", "s/", "a b+c%20d/ü~*'(x)/=&?/"])
def test_a_listing_has_the_signature_that_botocore_makes(token: str | None, bucket_url: str, prefix: str) -> None:
    url = listing_url(bucket_url, prefix, "next/page+token==")
    request = awsrequest.AWSRequest(method="GET", url=url, headers={})
    signer = auth.S3SigV4Auth(credentials.Credentials("AKID", "secret", token), "s3", "eu-central-1")
    signer.add_auth(request)
    moment = datetime.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)

    keys = EnvironmentKeys(access_key="AKID", secret_key="secret", token=token)
    ours = sign_get(url, keys, "eu-central-1", moment)

    assert ours["authorization"] == request.headers["Authorization"]
    assert ours.get("x-amz-security-token") == request.headers.get("X-Amz-Security-Token")
