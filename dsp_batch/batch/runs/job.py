"""The job of a run, which every task carries, and the JSON documents that a run keeps in its folder."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, fields, replace
from types import NoneType
from typing import Any

from dsp_batch.cache import Cache, open_cache, run_files
from dsp_batch.dicom.pixels.format import MAX_FRAME_BYTES
from dsp_batch.errors import ManifestError, OptionsError, SinkError
from dsp_batch.model.contrast import Contrast
from dsp_batch.model.places import ContextMode
from dsp_batch.model.series import SeriesRef
from dsp_batch.model.window import Window
from dsp_batch.options import (
    CineOptions,
    ContrastMosaicOptions,
    ImageOptions,
    IndexOptions,
    MosaicOptions,
    Options,
    PreviewOptions,
    Verb,
    convert_fields,
)
from dsp_batch.storage.store import Store, build_store
from dsp_batch.storage.urls import parse_location

OPTIONS: dict[Verb, type[Any]] = {
    "mosaic": MosaicOptions,
    "get-image": ImageOptions,
    "contrast-mosaic": ContrastMosaicOptions,
    "cine": CineOptions,
    "preview": PreviewOptions,
    "build-index": IndexOptions,
}
"""Verb → the class of its options."""

_COUNTS = ("attempt", "since", "generation", "series", "left")
_LARGEST_COUNT = 2**31

_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(_COUNTS, (int,)),
    **dict.fromkeys(("verb", "name", "manifest", "started", "finished"), (str,)),
    **dict.fromkeys(("seconds", "timeout"), (int, float)),
    **dict.fromkeys(("max_workers", "max_frame_bytes"), (int,)),
    "overwrites": (bool,),
    "options": (dict,),
    "columns": (list,),
    "endpoint_url": (str, NoneType),
    "anonymous": (bool, NoneType),
}
"""Member of the JSON documents of a run and of its previews → the types that its value may have."""

LONGEST_NAME = 100
"""Characters of the name of previews, at most. Files of a run have longer names."""


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
    """True to read series unsigned, False to sign requests; None to decide by bucket and credentials."""

    max_workers: int = 256
    """Concurrent requests of one series, at most: 64, and more where answers take longer than 40 ms."""

    max_frame_bytes: int = MAX_FRAME_BYTES
    """Bytes of a decoded frame that are accepted."""

    timeout: float = 600.0
    """Seconds that one series may take."""

    rebuild: bool = False
    """Build indices again that are in the cache; previews are always drawn."""

    describe: bool = True
    """Tell descriptions, dates and the patient's identifier in the result rows."""

    refresh: bool = False
    """Compare series of remote roots with what their indices were built from. Those of local ones always are."""

    def __post_init__(self) -> None:
        convert_fields(self)
        if not isinstance(self.options, OPTIONS[self.verb]):
            raise OptionsError(f"{self.verb} does not take {type(self.options).__name__}")
        if not 0 < len(self.name) <= LONGEST_NAME or not all(c.isalnum() or c in "-_." for c in self.name):
            raise OptionsError(
                f"--name {self.name!r} may hold letters, digits, '-', '_' and '.' only, {LONGEST_NAME} at most"
            )
        if self.name.startswith("."):
            raise OptionsError(f"--name {self.name!r} may not begin with '.'")
        if not self.timeout > 0:
            raise OptionsError(f"--timeout-per-series must be more than 0 seconds, not {self.timeout}")
        if self.max_workers < 1 or self.max_frame_bytes < 1:
            raise OptionsError(
                f"max_workers and max_frame_bytes must be 1 or more, not {self.max_workers} and {self.max_frame_bytes}"
            )

    @property
    def product(self) -> dict[str, Any]:
        """The verb and the options, which decide how the previews of this job look."""
        # As it comes back from JSON: lists, no tuples.
        product: dict[str, Any] = json.loads(json.dumps({"verb": self.verb, "options": asdict(self.options)}))
        return product

    @property
    def digest(self) -> str:
        """A short digest of the product."""
        return hashlib.sha256(json.dumps(self.product, sort_keys=True).encode()).hexdigest()[:12]

    def open_store(self, ref: SeriesRef) -> Store:
        """Open the store of a series: an endpoint given by hand wins over the environment's, that over a manifest's."""
        return build_store(
            ref.root,
            endpoint_url=self.endpoint_url,
            manifest_endpoint_url=ref.endpoint_url,
            anonymous=self.anonymous,
            max_workers=self.max_workers,
        )

    @property
    def needs_pixels(self) -> bool:
        """True where a series without pixels has no preview; a preview of any series may be a card."""
        return self.draws and not isinstance(self.options, PreviewOptions)

    @property
    def context(self) -> ContextMode | None:
        """What may be read for the image that an object speaks of; None where such an image is not drawn."""
        return self.options.context if isinstance(self.options, PreviewOptions) else None

    @property
    def draws(self) -> bool:
        """True where the verb makes previews, not indices alone."""
        return self.verb != "build-index"


def run_name(job: Job, manifest_digest: str) -> str:
    """Name a run: the same job over the same series is the same run."""
    digest = hashlib.sha256(f"{job.digest} {manifest_digest}".encode()).hexdigest()[:12]
    return f"{job.verb}-{job.name}-{digest}"


def describe_job(job: Job) -> dict[str, Any]:
    """Describe a job for `job.json`: everything but what could hold a secret."""
    settings = {field.name: getattr(job, field.name) for field in fields(job) if field.name not in ("options", "cache")}
    cache = {"cache": job.cache.url, "cache_control": job.cache.cache_control}
    return {**settings, "options": asdict(job.options), **cache}


def find_verb(options: Options) -> Verb:
    """Find the verb that some options belong to.

    Raises:
        OptionsError: They are no options of a verb.
    """
    for verb, kind in OPTIONS.items():
        if isinstance(options, kind):
            return verb
    names = ", ".join(kind.__name__ for kind in OPTIONS.values())
    raise OptionsError(f"options must be one of {names}, not {type(options).__name__}")


def read_job(cache: Cache, run: str) -> Job:
    """Read what a run was asked to do from its `job.json`.

    Raises:
        ManifestError: There is none, or it is of another version.
    """
    key = run_files(run).job
    found = read_json(cache, key)
    if found is None:
        raise ManifestError(f"there is no run {run} in {cache.url}")
    try:
        names = ("verb", "name", "endpoint_url", "anonymous", "max_workers", "max_frame_bytes", "timeout", "describe")
        options = _parse_options(found["verb"], found["options"])
        kept = replace(cache, cache_control=found.get("cache_control"))
        return Job(**{name: found[name] for name in names}, options=options, cache=kept)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ManifestError(
            f"{cache.url_of(key)} was written by another version ({error}): repeat the command that began the run"
        ) from error


def find_run(cache: Cache | str | os.PathLike[str], run: str | None = None) -> tuple[Cache, str]:
    """Open a run by its cache directory and its name, or by its folder.

    Args:
        cache: The cache directory, or the folder `CACHE_DIR/runs/RUN` of the run.
        run: Name of the run; None for the folder of a run, and where the cache directory holds one run alone.

    Returns:
        The cache directory, and the name of the run.

    Raises:
        ManifestError: There is no such run.
        OptionsError: There are several runs, and none is named.
    """
    place = cache if isinstance(cache, Cache) else open_cache(cache)
    if run is None:
        runs = list_runs(place)
        location = parse_location(place.url, place.endpoint_url)
        if len(runs) > 1:
            raise OptionsError(f"there are {len(runs)} runs in {place.url}: name one of them ({', '.join(runs[:3])} …)")
        if not runs and location.parts[-2:-1] != ("runs",):
            raise ManifestError(f"there is no run in {place.url}: give a cache directory, or CACHE_DIR/runs/RUN")
        place, run = (place, runs[0]) if runs else (replace(place, url=str(location.parent.parent)), location.parts[-1])
    if read_json(place, run_files(run).job) is None:
        raise ManifestError(
            f"there is no run {run} in {place.url}: `dsp-batch status {place.url}` lists those there are"
        )
    return place, run


def list_runs(cache: Cache) -> list[str]:
    """List the names of the runs in a cache directory, sorted."""
    return sorted({entry.key.partition("/")[0] for entry in cache.list("runs") if entry.key.endswith("/job.json")})


def write_json(cache: Cache, key: str, value: Any) -> None:
    """Write a JSON document whole."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    # Lone surrogates, of paths that are no UTF-8, come out as JSON's own escapes.
    cache.write(key, f"{text}\n".encode("utf-8", "backslashreplace"))


def read_json(cache: Cache, key: str) -> dict[str, Any] | None:
    """Read one of the JSON documents of a run or of its previews; None where there is none.

    Raises:
        SinkError: It is no such document.
    """
    data = cache.read(key)
    if data is None:
        return None
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SinkError(f"{cache.url_of(key)} is no JSON: delete it and run again") from error
    if not isinstance(found, dict):
        raise SinkError(f"{cache.url_of(key)} is no JSON object: delete it and run again")
    wrong = next((name for name in _KINDS if name in found and not _is_such(name, found[name])), None)
    if wrong is not None:
        raise SinkError(f"{cache.url_of(key)} is damaged ({wrong} is {found[wrong]!r:.80}): delete it and run again")
    return found


def _is_such(name: str, value: Any) -> bool:
    """Tell whether a member of a document has a value that a run may have written."""
    if type(value) not in _KINDS[name]:
        return False
    if isinstance(value, list):
        return all(isinstance(each, str) for each in value)
    return name not in _COUNTS or 0 <= value < _LARGEST_COUNT


def _parse_options(verb: Verb, values: dict[str, Any]) -> Options:
    parsed = dict(values)
    if "contrast" in parsed:
        parsed["contrast"] = _parse_contrast(parsed["contrast"])
    if "contrasts" in parsed:
        parsed["contrasts"] = tuple(map(_parse_contrast, parsed["contrasts"]))
    options: Options = OPTIONS[verb](**parsed)
    return options


def _parse_contrast(values: dict[str, Any]) -> Contrast:
    window = values["window"]
    return Contrast(kind=values["kind"], window=window and Window(**window))
