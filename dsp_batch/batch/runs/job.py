"""What a run was asked to do: the noun that every task of it carries."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from dsp_batch.cache import Cache
from dsp_batch.dicom.pixels.format import MAX_FRAME_BYTES
from dsp_batch.errors import OptionsError
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import ContrastMosaicOptions, ImageOptions, IndexOptions, MosaicOptions, Options, Verb
from dsp_batch.storage.store import Store, build_store

OPTIONS: dict[Verb, type[Any]] = {
    "mosaic": MosaicOptions,
    "get-image": ImageOptions,
    "contrast-mosaic": ContrastMosaicOptions,
    "build-index": IndexOptions,
}
"""Verb → the class of its options."""


LONGEST_NAME = 100
"""Characters: files of a run have longer names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One verb with its options, for every series of a manifest."""

    verb: Verb
    options: Options
    cache: Cache

    name: str
    """Name of the previews: the folder that they are written to."""

    endpoint_url: str | None = None
    """S3-compatible server given by hand; wins over the environment and over a manifest's."""

    anonymous: bool | None = None
    """Whether series are read unsigned; None to decide by bucket and credentials."""

    max_workers: int = 256
    """Concurrent requests of one series, at most: 64, and more where answers take longer than 40 ms."""

    max_frame_bytes: int = MAX_FRAME_BYTES
    """Bytes of a decoded frame that are accepted."""

    timeout: float = 600.0
    """Seconds that one series may take."""

    rebuild: bool = False
    """Build indices again that are in the cache; previews are always drawn."""

    def __post_init__(self) -> None:
        if not isinstance(self.options, OPTIONS[self.verb]):
            raise OptionsError(f"{self.verb} does not take {type(self.options).__name__}")
        if not 0 < len(self.name) <= LONGEST_NAME or not all(c.isalnum() or c in "-_." for c in self.name):
            raise OptionsError(
                f"--name {self.name!r} may hold letters, digits, '-', '_' and '.' only, {LONGEST_NAME} at most"
            )
        if self.name.startswith("."):
            raise OptionsError(f"--name {self.name!r} may not begin with '.'")

    @property
    def product(self) -> dict[str, Any]:
        """What decides how the previews of this job look."""
        # As it comes back from JSON: lists, no tuples.
        product: dict[str, Any] = json.loads(json.dumps({"verb": self.verb, "options": asdict(self.options)}))
        return product

    @property
    def digest(self) -> str:
        """Short digest of the product."""
        return hashlib.sha256(json.dumps(self.product, sort_keys=True).encode()).hexdigest()[:12]

    def open_store(self, ref: SeriesRef) -> Store:
        """Where a series is read; an endpoint given by hand wins over the environment's and that over a manifest's."""
        return build_store(
            ref.root,
            endpoint_url=self.endpoint_url,
            manifest_endpoint_url=ref.endpoint_url,
            anonymous=self.anonymous,
            max_workers=self.max_workers,
        )

    @property
    def draws(self) -> bool:
        """Whether the verb makes previews, not indices alone."""
        return self.verb != "build-index"


def run_name(job: Job, manifest_digest: str) -> str:
    """The name of the run: the same job over the same series is the same run."""
    digest = hashlib.sha256(f"{job.digest} {manifest_digest}".encode()).hexdigest()[:12]
    return f"{job.verb}-{job.name}-{digest}"


def describe_job(job: Job) -> dict[str, Any]:
    """The job for `job.json`: everything but what could hold a secret."""
    settings = {field.name: getattr(job, field.name) for field in fields(job) if field.name not in ("options", "cache")}
    return {**settings, "options": asdict(job.options), "cache": job.cache.url}
