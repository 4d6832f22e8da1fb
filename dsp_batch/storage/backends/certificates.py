"""Certificates of servers: authorities of the user's own hold for every client."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from dsp_batch.errors import OptionsError
from dsp_batch.storage.runtime import once_in_process

_VARIABLES = ("AWS_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables that name a PEM file of trusted authorities: of the AWS tools, and of OpenSSL and rustls."""

_BEGINNING = re.compile(rb"-----BEGIN (TRUSTED )?CERTIFICATE-----")
"""What a certificate begins with in a PEM file (RFC 7468 5.1; TRUSTED is OpenSSL's own)."""


@once_in_process
def read_authorities() -> bytes | None:
    """Return all the authorities that the environment names, as PEM; None for those of the system alone.

    Certificates are not parsed here: OpenSSL takes 20 ms for the usual file, and obstore parses it anyway.

    Raises:
        OptionsError: There is no such file, or it holds no certificates.
    """
    files = _find_files()
    return b"\n".join(files.values()) if files else None


@contextmanager
def explain_authorities() -> Iterator[None]:
    """Name the file of authorities that obstore's client cannot be opened with, if one is damaged.

    Raises:
        OptionsError: One is.
    """
    try:
        yield
    except Exception:
        for path in _find_files():
            _load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), path)
        raise


@once_in_process
def find_authorities_file() -> str | None:
    """Return a file with those authorities for botocore, which takes a single one; None for its own.

    Raises:
        OptionsError: There is no such file, or it holds no certificates, or damaged ones.
    """
    files = _find_files()
    for path in files:
        _load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), path)
    return _join_files(tuple(files.values())).name if len(files) > 1 else next(map(str, files), None)


@once_in_process
def open_ssl_context() -> ssl.SSLContext:
    """Return the settings of HTTPS for Python's own client, which knows SSL_CERT_FILE alone.

    Raises:
        OptionsError: As in `find_authorities_file`.
    """
    context = ssl.create_default_context()
    is_read = context.cert_store_stats()["x509"] > 0  # a damaged file is passed over
    known = Path(os.environ.get("SSL_CERT_FILE", "")) if is_read else None
    for path in _find_files():
        if path != known:
            _load_authorities(context, path)
    return context


@once_in_process
def _join_files(contents: tuple[bytes, ...]) -> IO[bytes]:
    """Join PEM files in a temporary one, which lasts as long as the process keeps it."""
    file = NamedTemporaryFile(suffix=".pem")  # noqa: SIM115  # kept by `once_in_process`
    file.write(b"\n".join(contents))
    file.flush()
    return file


@once_in_process
def _find_files() -> dict[Path, bytes]:
    """Return the PEM files that the environment names, each once, and what they hold; that of the AWS tools first."""
    named = {Path(value): name for name in reversed(_VARIABLES) if (value := os.environ.get(name))}
    return {path: _read_file(name, path) for path, name in reversed(named.items())}


def _read_file(name: str, path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _refuse(name, path, "which cannot be read") from error
    if _BEGINNING.search(data) is None:
        raise _refuse(name, path, "which holds no certificates")
    return data


def _load_authorities(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(path)
    except OSError as error:  # an SSLError is one
        name = next(name for name in _VARIABLES if Path(os.environ.get(name, "")) == path)
        raise _refuse(name, path, "which holds damaged certificates") from error


def _refuse(name: str, path: Path, problem: str) -> OptionsError:
    return OptionsError(f"{name} names {path}, {problem}: give a PEM file of certificates", "network")
