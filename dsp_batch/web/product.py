"""Which previews a gallery shows, and the command that makes one of them anew."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dsp_batch.batch.runs.newest import NamedRun, RunRows, fold_newest, list_named_runs
from dsp_batch.cache import Cache
from dsp_batch.errors import ManifestError

PREFERRED = "preview"
"""The verb whose pictures show any kind of series; its name comes first where a cache holds several."""

_FLAGS = {"full": "--full"}
"""Options that are true only where the user has asked for them."""

_NEGATIVE_FLAGS = {"overlays": "--no-overlays", "describe": "--no-describe"}


class Products:
    """The other previews that a cache holds of the same series, by the names of their runs."""

    def __init__(self, cache: Cache, runs: Sequence[NamedRun], name: str) -> None:
        others = sorted({run.name for run in runs if run.name != name and run.job.get("verb") != "build-index"})
        self._made = {other: _read_made(cache, [run for run in runs if run.name == other]) for other in others}

    def tell(self, series_uuids: Sequence[str]) -> list[str | None]:
        """List the names of the other previews of each series, with blanks between them; None where there is none."""
        if not self._made:
            return [None] * len(series_uuids)
        hashes = _hash(series_uuids)
        found = {name: np.isin(hashes, made).tolist() for name, made in self._made.items()}
        return [" ".join(name for name in found if found[name][at]) or None for at in range(len(series_uuids))]


def choose_runs(cache: Cache, name: str | None, run: str | None) -> list[NamedRun]:
    """Choose the runs that a gallery shows, newest first.

    Args:
        cache: The cache directory.
        name: Name of the previews; None for those of `preview` where there are any, else of the newest run.
        run: The only run to show; None for all runs of the name.

    Raises:
        ManifestError: There is no such run.
    """
    runs = list_named_runs(cache)
    if not runs:
        raise ManifestError(f"there is no run in {cache.url}: give the cache directory of a batch")
    if run is not None:
        chosen = [each for each in runs if each.run == run.rstrip("/").rpartition("/")[2]]
        if not chosen:
            raise ManifestError(f"there is no run {run} in {cache.url}: `dsp-batch status` lists those there are")
        return chosen
    names = list(dict.fromkeys(each.name for each in runs if each.job.get("verb") != "build-index"))
    wanted = name or (PREFERRED if PREFERRED in names else (names or [runs[0].name])[0])
    chosen = [each for each in runs if each.name == wanted]
    if not chosen:
        raise ManifestError(f"no run in {cache.url} has the name {wanted!r}: there are {', '.join(names)}")
    return chosen


def describe_command(run: NamedRun) -> str:
    """Write the command that makes one preview of a run, with `{root}`, `{series}` and `{output}` to be filled in."""
    verb, options = str(run.job.get("verb")), run.job.get("options") or {}
    words = [word for option, value in options.items() for word in _describe_option(option, value)]
    endpoint = run.job.get("endpoint_url")
    if endpoint:
        words += ["--endpoint-url", str(endpoint)]
    output = "-o {output}" if verb == "build-index" else "{output}"
    return f"dicom-series-preview {verb} {{series}} {output} --root {{root}} {shlex.join(words)}".rstrip()


def _describe_option(option: str, value: Any) -> Iterator[str]:
    if value is None:
        return
    if isinstance(value, bool):
        flag = (_FLAGS if value else _NEGATIVE_FLAGS).get(option)
        if flag:
            yield flag
    elif option in ("contrast", "contrasts"):
        for contrast in value if isinstance(value, list) else [value]:
            yield from ("--contrast", _describe_contrast(contrast))
    else:
        yield from (f"--{option.replace('_', '-')}", str(value))


def _describe_contrast(contrast: Any) -> str:
    if isinstance(contrast, Mapping) and contrast.get("window"):
        return f"{contrast['window']['width']:g}/{contrast['window']['center']:g}"
    return str(contrast.get("kind") if isinstance(contrast, Mapping) else contrast)


def _read_made(cache: Cache, runs: Sequence[NamedRun]) -> npt.NDArray[np.int64]:
    def gather(parts: Iterator[RunRows]) -> npt.NDArray[np.int64]:
        made = [np.empty(0, np.int64)]
        for _, columns in parts:
            rows = zip(columns["series_uuid"], columns["status"], strict=True)
            made.append(_hash([uuid for uuid, status in rows if status in ("done", "kept")]))
        return np.concatenate(made)

    return fold_newest(cache, runs, lambda column: column in ("series_uuid", "status"), gather)


def _hash(series_uuids: Sequence[str]) -> npt.NDArray[np.int64]:
    """Eight bytes for each series: a name takes a hundred."""
    return np.fromiter(map(hash, series_uuids), np.int64, len(series_uuids))
