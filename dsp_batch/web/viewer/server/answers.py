"""What the API answers: a body with its headers, or an error as JSON."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dsp_batch.errors import DspBatchError, OptionsError, Reason

STATUS_OF_REASON: dict[Reason, tuple[int, str]] = {
    "no-pixels": (404, "no_pixel_data"),
    "raw-data": (404, "no_pixel_data"),
    "not-found": (404, "not_found"),
    "access-denied": (403, "access_denied"),
    "network": (503, "storage_unavailable"),
    "timeout": (503, "storage_unavailable"),
    "not-dicom": (422, "not_dicom"),
    "bad-header": (422, "bad_header"),
    "unsupported-transfer-syntax": (422, "unsupported_transfer_syntax"),
    "bad-pixels": (422, "pixel_decode_failed"),
    "too-large": (422, "decode_memory_exceeded"),
    "out-of-memory": (422, "decode_memory_exceeded"),
}
"""Reason of an error → status and code of the answer. All others are faults of the server itself."""

_GZIP = 16 + zlib.MAX_WBITS
"""Window bits that make zlib write the form of gzip."""

PHRASES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 500: "internal_error"}
"""The code of each status that tornado itself raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAnswer:
    """The body of an answer and the headers that tell of it."""

    body: bytes
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


_PACKED_TYPES = ("application/json", "application/octet-stream", "text/")
"""Beginnings of media types that are packed where the client takes it; pictures are packed already."""

_SMALLEST_PACKED = 4096
"""Bytes of the smallest body that is packed."""


def pack_answer(answer: ApiAnswer) -> ApiAnswer:
    """Pack the body of an answer with gzip where that is worth it: over SSH, half of the bytes are half of the time."""
    if len(answer.body) < _SMALLEST_PACKED or not answer.media_type.startswith(_PACKED_TYPES):
        return answer
    packed = zlib.compress(answer.body, level=1, wbits=_GZIP)
    return replace(answer, body=packed, headers={**answer.headers, "Content-Encoding": "gzip"})


def answer_json(value: Any, headers: Mapping[str, str] | None = None) -> ApiAnswer:
    """Answer with JSON. Numbers that are none in JSON never occur: they are text or null before."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return ApiAnswer(body=text.encode("utf-8", "replace"), headers=headers or {})


class ApiError(Exception):
    """A request that cannot be answered.

    Args:
        status: Status of the answer.
        code: What is wrong, for programs.
        message: What is wrong and what to do, for people.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def explain_failure(error: DspBatchError) -> ApiError:
    """Turn an error of the package into that of an answer."""
    if isinstance(error, OptionsError):
        return ApiError(400, "bad_request", error.message)
    status, code = STATUS_OF_REASON.get(error.reason, (500, "internal_error"))
    return ApiError(status, code, error.message)
