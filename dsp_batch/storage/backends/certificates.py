"""Certificates of servers: authorities of the user's own hold for every client."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from dsp_batch.errors import OptionsError
from dsp_batch.storage.runtime import once_in_process

_VARIABLES = ("AWS_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables that name a PEM file of trusted authorities: of the AWS tools, and of OpenSSL and rustls."""


def find_authorities() -> dict[str, Path]:
    """Return the PEM files that the environment names, by variable; AWS_CA_BUNDLE comes first.

    Raises:
        OptionsError: There is no such file, or it holds no certificates.
    """
    return {name: _check_file(name, named) for name in _VARIABLES if (named := os.environ.get(name))}


def read_authorities() -> bytes | None:
    """Return all the authorities that the environment names, as PEM; None for those of the system alone.

    Raises:
        OptionsError: As in `find_authorities`.
    """
    files = find_authorities()
    return b"\n".join(path.read_bytes() for path in files.values()) if files else None


def find_authorities_file() -> str | None:
    """Return a file with those authorities for botocore, which takes a single one; None for its own.

    Raises:
        OptionsError: As in `find_authorities`.
    """
    files = find_authorities()
    return _join_files(tuple(files.values())).name if len(files) > 1 else next(map(str, files.values()), None)


@once_in_process
def open_ssl_context() -> ssl.SSLContext:
    """Return the settings of HTTPS for Python's own client, which knows SSL_CERT_FILE alone.

    Raises:
        OptionsError: As in `find_authorities`.
    """
    files = find_authorities()
    context = ssl.create_default_context()
    for path in files.values():
        context.load_verify_locations(path)
    return context


@once_in_process
def _join_files(paths: tuple[Path, ...]) -> IO[bytes]:
    """Join PEM files in a temporary one, which lasts as long as the process keeps it."""
    file = NamedTemporaryFile(suffix=".pem")  # noqa: SIM115  # kept by `once_in_process`
    file.write(b"\n".join(path.read_bytes() for path in paths))
    file.flush()
    return file


@once_in_process
def _check_file(name: str, named: str) -> Path:
    try:
        ssl.create_default_context(cafile=named)
    except OSError as error:  # an SSLError is one
        problem = "which holds no certificates" if isinstance(error, ssl.SSLError) else "which cannot be read"
        raise OptionsError(f"{name} names {named}, {problem}: give a PEM file of certificates", "network") from error
    return Path(named)
