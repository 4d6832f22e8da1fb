"""Decorators that add a set of options to a command: where to read and write, the cluster, and what to log.

Each decorator passes the values of its options to the command as one argument. Only click is imported here, so that
`--help` is quick; the code that checks the values is imported when a command runs.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from dsp_batch.cli.logs import JSON_FLAG, log_everything
from dsp_batch.cli.outputs import check_output
from dsp_batch.options import ClusterOptions
from dsp_batch.storage.public_buckets import DEFAULT_ROOT

Function = TypeVar("Function", bound=Callable[..., Any])
Option = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """The options about reading series."""

    root: str
    endpoint_url: str | None
    anonymous: bool | None
    max_workers: int
    max_frame_mb: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesOptions(SourceOptions):
    """The options about reading one series."""

    series_uid: str | None
    """SeriesInstanceUID of the series that is meant where a folder holds several."""

    refresh: bool
    """True to compare a remote folder with what its index was built from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheOptions:
    """The options about the cache of one command."""

    directory: str | None
    """Folder or URL of the cache; None for the default one."""

    disabled: bool
    """True to neither read nor write the cache."""

    cache_control: str | None = None
    """Cache-Control header of objects that are written to a bucket."""


def option_set(name: str, build: Callable[..., Any], options: Mapping[str, Option]) -> Callable[[Function], Function]:
    """Make a decorator that adds options to a command and passes their values as one argument.

    Args:
        name: Name of the argument.
        build: Function that checks the values and makes the argument from them.
        options: The option of each value, by the name of the value.
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def command(**values: Any) -> Any:
            own = {each: values.pop(each) for each in options}
            return function(**{name: build(**own)}, **values)

        decorated: Any = command
        for option in reversed(list(options.values())):
            decorated = option(decorated)
        return decorated  # type: ignore[no-any-return]  # click's decorators lose the type

    return decorate


def _be_verbose(_context: click.Context, _parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001  # click's form
    if value:
        log_everything()


_VERBOSE: Option = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_be_verbose,
    help="Log each stage with its requests, bytes and seconds, and show tracebacks of errors.",
)

# The value is looked for before options are parsed: see `Program.main`.
_LOG_JSON: Option = click.option(
    JSON_FLAG,
    is_flag=True,
    expose_value=False,
    help="Write messages to standard error as JSON objects, one per line.",
)


def log_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options about logging, which every command has."""
    return _VERBOSE(_LOG_JSON(function))


_ROOT = click.option(
    "--root",
    default=DEFAULT_ROOT,
    show_default=True,
    metavar="URL",
    help="Where to look for series that do not name their own place: s3://, https://, gs://, az://, or a folder.",
)
endpoint_option: Option = click.option(
    "--endpoint-url",
    metavar="URL",
    help="S3-compatible server to use, rather than one in AWS_ENDPOINT_URL or in a manifest.",
)
_ANONYMOUS = click.option(
    "--anon/--no-anon",
    "anonymous",
    default=None,
    help="Send requests without or with credentials.  "
    "[default: without for IDC's public buckets and where no credentials are found]",
)
_MAX_WORKERS = click.option(
    "--max-workers",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    metavar="N",
    help="Largest number of concurrent requests for one series.",
)
_MAX_FRAME_MB = click.option(
    "--max-frame-mb",
    type=click.IntRange(min=1),
    default=2048,
    show_default=True,
    metavar="N",
    help="Largest decoded frame to accept, in MB.",
)
describe_option: Option = click.option(
    "--describe/--no-describe",
    default=True,
    show_default=True,
    help="Show and tell patient identifiers, dates and descriptions.",
)
_CACHE_DIRECTORY = click.option(
    "--cache-dir",
    "directory",
    metavar="DIR",
    help="Folder or storage URL to keep indices in.  "
    "[default: DICOM_SERIES_PREVIEW_CACHE_DIR, else the platform's cache folder]",
)

_SOURCE: dict[str, Option] = {
    "root": _ROOT,
    "endpoint_url": endpoint_option,
    "anonymous": _ANONYMOUS,
    "max_workers": _MAX_WORKERS,
    "max_frame_mb": _MAX_FRAME_MB,
}

source_options = option_set("source", SourceOptions, _SOURCE)

_REFRESH = click.option(
    "--refresh",
    is_flag=True,
    help="List remote folders again, and renew the indices of those that have changed. Local folders always are.",
)
_SERIES_UID = click.option(
    "--series-uid",
    metavar="UID",
    help="SeriesInstanceUID of the series to take where SERIES is a folder that holds several.",
)

series_options = option_set("source", SeriesOptions, {**_SOURCE, "series_uid": _SERIES_UID, "refresh": _REFRESH})


def _check_cache_control(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not (value.isascii() and value.isprintable() and value.strip()):
        raise click.BadParameter("give the value of an HTTP header, for example 'public, max-age=86400'")
    return value


_CACHE_CONTROL = click.option(
    "--cache-control",
    metavar="TEXT",
    callback=_check_cache_control,
    help="Cache-Control header of the objects that are written to a bucket, for example 'public, max-age=86400'.",
)


def _build_cache(
    directory: str | None,
    no_cache: bool,  # noqa: FBT001  # a flag of the command line
    cache_control: str | None,
) -> CacheOptions:
    if directory is not None and no_cache:
        raise click.UsageError("--cache-dir and --no-cache exclude each other")
    return CacheOptions(directory=directory, disabled=no_cache, cache_control=cache_control)


cache_options = option_set(
    "cache",
    _build_cache,
    {
        "directory": _CACHE_DIRECTORY,
        "no_cache": click.option("--no-cache", is_flag=True, help="Neither read nor write indices in the cache."),
        "cache_control": _CACHE_CONTROL,
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedFailures:
    """How many series of a run may fail without making its exit status 1."""

    value: float
    is_percentage: bool
    """True where the value is a percentage of the series of the run, not a number of them."""

    def cover(self, failed: int, series: int) -> bool:
        """Tell whether so many failed series are allowed."""
        return failed <= (self.value * series / 100 if self.is_percentage else self.value)


def _parse_allowed(_context: click.Context, _parameter: click.Parameter, text: str) -> AllowedFailures:
    found = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?)%", text.strip(), re.ASCII)
    if not found or (found[2] and float(found[2]) > 100):
        raise click.BadParameter(f"{text!r} is neither a number of series, such as 10, nor a share, such as 1%")
    return AllowedFailures(value=float(found[1] or found[2]), is_percentage=found[1] is None)


only_below_root_option: Option = click.option(
    "--only-below-root",
    is_flag=True,
    help="Reject lines that lead elsewhere than below --root, and ignore servers that the manifest names.",
)

allow_failures_option: Option = click.option(
    "--allow-failures",
    "allowed",
    callback=_parse_allowed,
    default="0",
    show_default=True,
    metavar="N|N%",
    help="Number of series, or percentage of them, that may fail while the exit status is still 0.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """The options about working through a manifest."""

    source: SourceOptions

    directory: str | None
    """The cache directory; None for the default one."""

    name: str | None
    """Name of the previews; None to name them after the verb."""

    cache_control: str | None
    """Cache-Control header of objects that are written to a bucket; None for no header."""

    overwrite: bool
    refresh: bool
    strict: bool
    only_below_root: bool
    describe: bool
    """True to tell patient identifiers, dates and descriptions."""

    timeout: float
    """Seconds that one series may take."""

    allowed: AllowedFailures


def _build_settings(directory: str | None, name: str | None, **values: Any) -> RunSettings:
    kept = ("cache_control", "overwrite", "refresh", "strict", "only_below_root", "describe", "timeout", "allowed")
    own = {each: values.pop(each) for each in kept}
    if math.isnan(own["timeout"]):
        raise click.UsageError("--timeout-per-series must be a number of seconds")
    return RunSettings(source=SourceOptions(**values), directory=directory, name=name, **own)


run_options = option_set(
    "settings",
    _build_settings,
    {
        "directory": click.option(
            "--cache-dir",
            "directory",
            metavar="DIR",
            help="Folder or storage URL to write indices, previews and results to.  "
            "[default: DICOM_SERIES_PREVIEW_CACHE_DIR, else the platform's cache folder]",
        ),
        "cache_control": _CACHE_CONTROL,
        "name": click.option("--name", metavar="NAME", help="Name of this set of previews.  [default: the verb]"),
        "overwrite": click.option(
            "--overwrite",
            is_flag=True,
            help="Make all indices and previews again, and replace those made with other options.",
        ),
        "refresh": _REFRESH,
        "strict": click.option("--strict", is_flag=True, help="Do not start if any line of the manifest is rejected."),
        "only_below_root": only_below_root_option,
        "describe": describe_option,
        "timeout": click.option(
            "--timeout-per-series",
            "timeout",
            type=click.FloatRange(min=0, min_open=True),
            default=600.0,
            show_default=True,
            metavar="SECONDS",
            help="Seconds that a series may take before it counts as failed.",
        ),
        "allowed": allow_failures_option,
        **_SOURCE,
    },
)


def _build_cluster(**values: Any) -> ClusterOptions:
    if values["performance_report"] is not None:
        check_output(values["performance_report"])
    return ClusterOptions(**values)


cluster_options = option_set(
    "cluster",
    _build_cluster,
    {
        "scheduler": click.option(
            "--scheduler",
            metavar="ADDRESS",
            help="Address of the Dask scheduler to run on, tcp:// or tls://.  "
            "[default: DASK_SCHEDULER_ADDRESS, else a local cluster]",
        ),
        "scheduler_file": click.option(
            "--scheduler-file", metavar="PATH", help="JSON file that the Dask scheduler to run on has written."
        ),
        "workers": click.option(
            "--workers",
            type=click.IntRange(min=1),
            metavar="N",
            help="Number of worker processes of the local cluster.  [default: one per core]",
        ),
        "wait_for_workers": click.option(
            "--wait-for-workers",
            type=click.FloatRange(min=0),
            default=60.0,
            show_default=True,
            metavar="SECONDS",
            help="Seconds to wait for the scheduler to answer, and for a worker at the start or after all have gone.",
        ),
        "performance_report": click.option(
            "--performance-report",
            metavar="FILE",
            help="HTML file or URL to write Dask's performance report to when the run ends or is interrupted. "
            "Needs pip install 'dsp-batch[dashboard]'.",
        ),
    },
)

json_option: Option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
