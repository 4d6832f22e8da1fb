"""The signature of a request to S3 (AWS Signature Version 4): of listings, which obstore cannot bound."""

from __future__ import annotations

import hmac
from datetime import datetime
from hashlib import sha256
from typing import Protocol
from urllib.parse import urlsplit

_NO_BODY = sha256(b"").hexdigest()


class SigningKeys(Protocol):
    """Keys that belong together, as botocore and the environment give them."""

    @property
    def access_key(self) -> str:
        """The public part."""

    @property
    def secret_key(self) -> str:
        """The secret part."""

    @property
    def token(self) -> str | None:
        """Token of a session; None for keys that last."""


def sign_get(url: str, keys: SigningKeys, region: str, now: datetime) -> dict[str, str]:
    """Return the headers that sign a GET.

    Args:
        url: Percent-encoded; the parameters of its query are sorted by name.
        keys: Who asks.
        region: Region of the bucket.
        now: The time, in UTC.

    References:
        AWS, Authenticating Requests: Using the Authorization Header (AWS Signature Version 4).
    """
    parts, moment = urlsplit(url), now.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": parts.netloc, "x-amz-content-sha256": _NO_BODY, "x-amz-date": moment}
    if keys.token is not None:
        headers["x-amz-security-token"] = keys.token
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = "\n".join(("GET", parts.path or "/", parts.query, lines, names, _NO_BODY))
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", moment, scope, sha256(request.encode()).hexdigest()))
    key = f"AWS4{keys.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"{keys.access_key}/{scope}"
    signed = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": signed}
