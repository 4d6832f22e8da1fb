"""Exceptions of obstore and statuses of HTTP, translated into this package's errors."""

from __future__ import annotations

import re

from dsp_batch.errors import ArchivedError, StorageError
from dsp_batch.storage.backend import SlowDownError, TemporaryError

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_TEMPORARY_STATUS = frozenset((408, 429, 500, 502, 503, 504))
_TEMPORARY_CODES = frozenset(("SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable"))
_SLOW_DOWN_STATUS = frozenset((429, 503))
_DENIED_CODES = frozenset(
    (
        "AccessDenied",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "RequestTimeTooSkewed",
        "ExpiredToken",
        "InvalidToken",
        "TokenRefreshRequired",
    )
)
_CAUSES = (
    ("connection refused", "connection refused"),
    ("could not connect", "could not connect"),
    ("dns error", "host name not found"),
    ("timed out", "timed out"),
    ("timedout", "timed out"),
    ("connectionreset", "connection reset"),
    ("reset by peer", "connection reset"),
    ("incompletemessage", "connection closed before the answer was complete"),
    ("unexpectedeof", "connection closed before the answer was complete"),
    ("end of file", "connection closed before the answer was complete"),
    ("closed before", "connection closed before the answer was complete"),
    ("incompletebody", "connection closed before the answer was complete"),
    ("connectionaborted", "connection aborted"),
    ("brokenpipe", "connection closed"),
)


def is_beyond_end(error: Exception) -> bool:
    """Tell whether a server answered 416: the range starts behind the last byte."""
    return _find_status(str(error)) == 416


def is_missing_bucket(error: Exception) -> bool:
    """Tell whether S3 answered that the bucket itself does not exist."""
    return "<Code>NoSuchBucket</Code>" in str(error)


def translate_failure(error: Exception, what: str, access: str) -> StorageError | TemporaryError:
    """Say what an exception of obstore means.

    Args:
        error: The exception as obstore raised it, a dump of several lines.
        what: Continues "cannot …", for example `read s3://bucket/key`.
        access: How the request was made: `anonymous` or `signed`.
    """
    text = str(error)
    code = match[1] if (match := _CODE.search(text)) else ""
    status = _find_status(text)
    if status is None and isinstance(error, FileNotFoundError):
        status = 404
    if status is not None:
        return translate_status(status, code, what, access)
    if isinstance(error, ValueError):  # obstore takes no key with an empty part (`a//b`), or with `.` or `..` as a part
        return StorageError(f"cannot {what}: the key has an empty part, `.` or `..`", reason="not-found")
    if distrust := explain_ssl_failure(text):
        return StorageError(f"cannot {what}: {distrust}", reason="network")
    if "redirect" in text.lower():
        return translate_status(301, code, what, access)
    return TemporaryError(explain_cause(text))


def explain_ssl_failure(error: object) -> str | None:
    """Say why no HTTPS connection comes about, whatever client tried; None where another attempt may help."""
    text = str(error)
    if "InvalidCertificate" in text or "CERTIFICATE_VERIFY_FAILED" in text:
        return "the server's certificate is not trusted; name its authority's PEM file in SSL_CERT_FILE"
    if "InvalidContentType" in text or "WRONG_VERSION_NUMBER" in text:
        return "the server does not speak HTTPS; begin its URL with http://"
    return None


def translate_status(status: int, code: str, what: str, access: str) -> StorageError | TemporaryError:
    """Say what an HTTP status means; `code` is S3's word for it, or empty."""
    label = f"HTTP {status} {code}".rstrip()
    if status in _TEMPORARY_STATUS or code in _TEMPORARY_CODES:
        return (SlowDownError if status in _SLOW_DOWN_STATUS or code == "SlowDown" else TemporaryError)(label)
    if code == "InvalidObjectState":
        return ArchivedError(f"cannot {what}: archived: restore it first")
    if status in (401, 403) or code in _DENIED_CODES:
        advice = "; set the clock of the machine that made it" if code == "RequestTimeTooSkewed" else ""
        return StorageError(
            f"cannot {what}: access denied ({code or label}; the request was {access}){advice}", reason="access-denied"
        )
    if status in (404, 410) or code == "NoSuchBucket":
        missing = "bucket" if code == "NoSuchBucket" else "object"
        return StorageError(f"cannot {what}: no such {missing}", reason="not-found")
    if status in (301, 307) or code == "AuthorizationHeaderMalformed":
        return StorageError(f"cannot {what}: the bucket is in another region; set AWS_REGION to it", reason="network")
    return StorageError(f"cannot {what}: the server answered {label}", reason="network")


def _find_status(text: str) -> int | None:
    match = _STATUS.search(text)
    return int(match[1]) if match else None


def explain_cause(text: str) -> str:
    """Shorten a message about a failed connection to its cause."""
    lowered = text.lower()
    for sign, cause in _CAUSES:
        if sign in lowered:
            return cause
    beginning = text.strip().splitlines()[0] if text.strip() else "unknown failure"
    return beginning.rsplit(" - ", 1)[-1][:120]
