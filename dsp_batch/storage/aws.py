"""Access to S3: endpoint, region and credentials, from options and from the standard AWS chain."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dsp_batch.errors import OptionsError, StorageError, first_line
from dsp_batch.storage.public_buckets import PUBLIC_REGION, is_public
from dsp_batch.storage.urls import show_text

if TYPE_CHECKING:
    from obstore.store import S3Credential


_LIFETIME = timedelta(minutes=9)
"""Time for which refreshed credentials are used. botocore renews them 10 minutes before they end at the latest, and
obstore asks again 5 minutes before `expires_at`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentKeys:
    """Keys that the environment names: they need no renewal, and no botocore."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)

    def get_frozen_credentials(self) -> EnvironmentKeys:
        """Return keys that belong together, as botocore's Credentials do."""
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Endpoint, region and credentials of one bucket. The value stays in its process: it is never pickled."""

    endpoint_url: str | None
    """S3-compatible server; None for AWS itself."""

    region: str
    credentials: Any = None
    """botocore's Credentials, or `EnvironmentKeys`; None for anonymous requests."""

    session: Any = None
    """The botocore session that found them, where it was asked."""

    @property
    def word(self) -> str:
        """The kind of the requests, as messages say it: `anonymous` or `signed`."""
        return "anonymous" if self.credentials is None else "signed"


def resolve_endpoint(explicit: str | None, manifest: str | None = None) -> str | None:
    """Choose the S3 server: given by hand, then the environment's, then the manifest's, then AWS (None).

    Raises:
        OptionsError: As in `check_endpoint`.
    """
    if explicit:
        return check_endpoint(explicit)
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        if environment := os.environ.get(name):
            return check_endpoint(environment, f" of {name}")
    return check_endpoint(manifest, " of the manifest") if manifest else None


def is_of_aws(endpoint_url: str | None) -> bool:
    """Tell whether an S3 server is one of AWS; None stands for it."""
    host = urlsplit(endpoint_url).hostname or "" if endpoint_url else "amazonaws.com"
    return f".{host}".endswith((".amazonaws.com", ".amazonaws.com.cn"))


@lru_cache(maxsize=64)
def check_endpoint(endpoint_url: str, source: str = "") -> str:
    """Return the address of an S3 server unchanged, after a look at its form.

    Args:
        endpoint_url: The address as a user wrote it.
        source: Continues "the endpoint …" in the message, for example ` of AWS_ENDPOINT_URL`.

    Raises:
        OptionsError: It is no plain URL of a server. Such a text makes obstore's threads panic, once in each attempt.
    """
    problem = _find_endpoint_problem(endpoint_url)
    if problem:
        raise OptionsError(f"the endpoint {show_text(endpoint_url)}{source} {problem}", "network")
    return endpoint_url


def _find_endpoint_problem(endpoint_url: str) -> str | None:
    if re.match("https?://", endpoint_url, re.IGNORECASE) is None:
        return "needs http:// or https:// at its beginning"
    if not endpoint_url.isprintable() or " " in endpoint_url:
        return "has a blank or a control character in it: leave that out"
    try:
        parts = urlsplit(endpoint_url)
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        return "is no URL of a server: write https://host"
    if "@" in parts.netloc:
        return "holds a user name or password, so it is no URL of a server: write https://host"
    if not host or "?" in endpoint_url or "#" in endpoint_url:
        return "is not the URL of a server alone: give its scheme, host and port, as http://localhost:9000"
    return None


def resolve_access(
    bucket: str, endpoint_url: str | None, *, anonymous: bool | None = None, region: str | None = None
) -> Access:
    """Decide on endpoint, region and credentials of a bucket.

    Args:
        bucket: Name of the bucket.
        endpoint_url: S3-compatible server; None for the environment's, else AWS.
        anonymous: True and False decide by hand; None: anonymous for IDC's public buckets, without looking for
            credentials, else signed where the AWS chain finds credentials.
        region: The bucket's, where it is known; None for that of the environment or the AWS files.

    Raises:
        StorageError: Signed requests are asked for and there are no credentials, or the AWS configuration is broken.
    """
    endpoint_url = resolve_endpoint(endpoint_url)
    if anonymous is None and is_public(bucket, endpoint_url):
        # Pinned: AWS_REGION tells where the user's own buckets are.
        return Access(endpoint_url=endpoint_url, region=region or PUBLIC_REGION)
    if anonymous:
        return Access(endpoint_url=endpoint_url, region=region or _environment_region() or "us-east-1")
    session, credentials, usual_region = _read_environment() or _find_credentials(bucket)
    if credentials is None and anonymous is False:
        raise StorageError(
            f"no AWS credentials for s3://{bucket}: set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            "or read anonymously",
            reason="access-denied",
        )
    return Access(endpoint_url=endpoint_url, region=region or usual_region, credentials=credentials, session=session)


def build_credential_provider(credentials: Any) -> Callable[[], S3Credential]:
    """Wrap botocore's credentials, which renew themselves, for obstore, which asks for them when its copy ends."""
    renewable = hasattr(credentials, "refresh_needed")

    def provide() -> S3Credential:
        frozen = credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _LIFETIME if renewable else None,
        }

    return provide


def _environment_region() -> str | None:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or None


_BY_FILE = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SECURITY_TOKEN", "AWS_CREDENTIAL_EXPIRATION")
"""Variables that only botocore can follow; AWS_SECURITY_TOKEN is the old name of the session token."""

_FILES = {"AWS_CONFIG_FILE": "~/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials"}
"""Variables that say where the AWS files are, which may name the region → where they usually are."""


def _read_environment() -> tuple[None, EnvironmentKeys, str] | None:
    """Read keys and region where the environment alone decides; None where botocore must look, which takes 0.3 s."""
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if not key or not secret or any(os.environ.get(name) for name in _BY_FILE):
        return None
    region = _environment_region()
    if region is None and any(
        Path(os.environ.get(name) or usual).expanduser().is_file() for name, usual in _FILES.items()
    ):
        return None
    token = os.environ.get("AWS_SESSION_TOKEN") or None
    return None, EnvironmentKeys(access_key=key, secret_key=secret, token=token), region or "us-east-1"


def _find_credentials(bucket: str) -> tuple[Any, Any, str]:
    import botocore.exceptions  # noqa: PLC0415  # 0.3 s that public buckets and keys in the environment do not need
    import botocore.session  # noqa: PLC0415  # 0.3 s that few need

    session = botocore.session.Session()
    try:
        region = _environment_region() or session.get_config_variable("region") or "us-east-1"
        return session, session.get_credentials(), region
    except botocore.exceptions.BotoCoreError as error:
        raise StorageError(
            f"no AWS credentials for s3://{bucket}: {first_line(error)}", reason="access-denied"
        ) from error
