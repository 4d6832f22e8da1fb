"""The options of the viewer: where it listens, what it shows, and how much memory it takes."""

from __future__ import annotations

from dataclasses import dataclass

from dsp_batch.errors import OptionsError

SMALLEST_BUDGET = 16
"""Megabytes that the frames of the viewer need at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where the server listens, who may ask it, and when it ends."""

    host: str = "127.0.0.1"
    """Name or address that it listens at."""

    port: int = 0
    """Port; 0 takes a free one."""

    unix_socket: str | None = None
    """Path of a socket to listen at instead of a port; None for the port."""

    has_token: bool = True
    """True where every request to the API must carry the bearer token."""

    timeout: float | None = None
    """Seconds without a request after which the server ends, counted from the end of the scan; None for no end."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise OptionsError(f"{self.port} is no port: give 0 to 65535")
        if self.timeout is not None and not self.timeout > 0:
            raise OptionsError(f"a timeout of {self.timeout} s leaves no time: give a positive number of seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewOptions:
    """What the viewer shows, and how."""

    root: str | None = None
    """Where series are looked for that do not name their own place; None for the usual root."""

    endpoint_url: str | None = None
    """S3-compatible server; None for the environment's, else AWS."""

    anonymous: bool | None = None
    """As in `find_series`."""

    cache: str | None = None
    """Folder or URL that keeps indices; None for the usual one."""

    uses_cache: bool = True
    """False to neither read nor write the cache."""

    recursive: bool = True
    """False to look for DICOM files directly in a folder only."""

    filters: tuple[str, ...] = ()
    """Conditions `FIELD=VALUE` that every file shown fulfils."""

    annotations: str | None = None
    """Path of a CSV of rectangular regions; None for none."""

    masked: bool = False
    """True to show pseudonyms in place of the attributes of patients."""

    budget_mb: int = 512
    """Megabytes of frames and pictures that are kept in memory."""

    def __post_init__(self) -> None:
        if self.budget_mb < SMALLEST_BUDGET:
            raise OptionsError(f"a budget of {self.budget_mb} MB holds no frame: give {SMALLEST_BUDGET} MB or more")
