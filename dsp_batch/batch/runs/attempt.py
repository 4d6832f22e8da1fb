"""Starts of a run, and which rows and previews of earlier ones still count.

Nothing here goes by clocks: a cache may be copied, and storage and client need not agree on the time. Previews of one
name have a generation, a number in their `product.json` that `--overwrite` raises; each run notes the generation that
it works on and the first attempt that did so. Rows of earlier attempts, and of other generations, count no more.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dsp_batch.batch.runs.job import Job, read_json, write_json
from dsp_batch.batch.runs.result_parts import list_parts
from dsp_batch.cache import Cache, product_key, run_files
from dsp_batch.errors import OptionsError, SinkError

_MOST_DIGITS = 9
"""Digits of the number of an attempt in the name of a part; a longer one is a name that no run wrote."""


class Attempt(NamedTuple):
    """One start of a run."""

    number: int
    """Number of the attempt, from 1."""

    since: int
    """Number of the first attempt whose rows count."""

    generation: int
    """Generation of the previews that the attempt makes."""

    resumes: bool
    """True where the run was begun before."""

    overwrites: bool
    """True where everything is made again, whatever is there."""

    columns: tuple[str, ...] | None = None
    """Columns of the manifest that rows of earlier attempts carry; None where none of these count."""

    @property
    def renews(self) -> bool:
        """True where what lies in the cache from before may have to be made again."""
        return self.since > 1

    def describe(self) -> dict[str, Any]:
        """The attempt for `job.json`."""
        return {
            "attempt": self.number,
            "since": self.since,
            "generation": self.generation,
            "overwrites": self.overwrites,
        }


def open_attempt(job: Job, run: str, *, overwrite: bool = False) -> Attempt:
    """Number a start of a run, after making sure that the previews under its name are of its kind.

    Args:
        job: The job.
        run: Name of the run.
        overwrite: Make everything again. An attempt at that which did not end is gone on with.

    Raises:
        OptionsError: The name is taken by previews made with other options.
    """
    document = read_json(job.cache, run_files(run).job) or {}
    summary = read_json(job.cache, run_files(run).summary) or {}
    ended = summary.get("attempt", 0)
    number = 1 + max(document.get("attempt", 0), ended, *_attempts_of_parts(job.cache, run))
    found = _read_product(job, overwrite=overwrite) if job.draws else document
    generation = found.get("generation", 1)
    same = document.get("generation", 1) == generation
    goes_on = (
        same and document.get("overwrites", False) and (ended < document.get("attempt", 0) or summary.get("left", 0))
    )
    if overwrite and not goes_on:
        generation, same = generation + 1, False
    wanted = {**job.product, "generation": generation}
    if job.draws and found != wanted:
        write_json(job.cache, product_key(job.name), wanted)
    return Attempt(
        number=number,
        since=document.get("since", 1) if same else number,
        generation=generation,
        resumes=bool(document),
        overwrites=overwrite or bool(goes_on),
        columns=tuple(document.get("columns", ())) if document and same else None,
    )


def _attempts_of_parts(cache: Cache, run: str) -> list[int]:
    numbers = (key.rpartition("/")[2].split("-")[1] for key in list_parts(cache, run_files(run).results))
    return [0, *(int(number) for number in numbers if number.isdecimal() and len(number) <= _MOST_DIGITS)]


def _read_product(job: Job, *, overwrite: bool) -> dict[str, Any]:
    """Read what the previews under the job's name were made with; empty where there are none."""
    found = read_json(job.cache, product_key(job.name)) or {}
    if found and not overwrite and not {"verb", "options"} <= found.keys():
        raise SinkError(f"{job.cache.url_of(product_key(job.name))} tells no verb and options: delete it and run again")
    made = {name: value for name, value in found.items() if name != "generation"}
    if made and made != job.product and not overwrite:
        raise OptionsError(
            f"the previews {job.name!r} in {job.cache.url} were made with other options: "
            "run the command with another --name, or with --overwrite to make them anew"
        )
    return found
