"""Option sets: one decorator each, which hands its values over as one argument. Here those about where and how.

Only click is imported here: what checks the values is imported when a command runs, so that `--help` is quick.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from dsp_batch.cli.logs import JSON_FLAG, log_everything
from dsp_batch.cli.outputs import check_output
from dsp_batch.options import ClusterOptions

Function = TypeVar("Function", bound=Callable[..., Any])
Option = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """Where series are read, and how."""

    root: str
    endpoint_url: str | None
    anonymous: bool | None
    max_workers: int
    max_frame_mb: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheOptions:
    """Where indices are kept."""

    directory: str | None
    """None for the default one."""

    disabled: bool
    """Neither read nor written."""


def option_set(name: str, build: Callable[..., Any], options: Mapping[str, Option]) -> Callable[[Function], Function]:
    """Make a decorator that adds options to a command and passes their values as one argument.

    Args:
        name: The argument of the command.
        build: Makes it from the values, which it checks.
        options: Name of each value → the option that gives it.
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
    help="Say what is done: requests, bytes and seconds of each stage; tracebacks of errors.",
)

# The value is looked for before options are parsed: see `Program.main`.
_LOG_JSON: Option = click.option(
    JSON_FLAG,
    is_flag=True,
    expose_value=False,
    help="Write messages to standard error as JSON objects, one a line.",
)


def log_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options about what is said, for every command."""
    return _VERBOSE(_LOG_JSON(function))


_ROOT = click.option(
    "--root",
    default="s3://idc-open-data",
    show_default=True,
    metavar="URL",
    help="Where series are that do not say it themselves: s3://, https://, gs://, az://, a folder.",
)
endpoint_option: Option = click.option(
    "--endpoint-url", metavar="URL", help="S3-compatible server; wins over AWS_ENDPOINT_URL and over a manifest's."
)
_ANONYMOUS = click.option(
    "--anon/--no-anon",
    "anonymous",
    default=None,
    help="Read unsigned, or signed.  [default: unsigned from IDC's public buckets and where no credentials are found]",
)
_MAX_WORKERS = click.option(
    "--max-workers",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    metavar="N",
    help="Requests in flight for one series, at most.",
)
_MAX_FRAME_MB = click.option(
    "--max-frame-mb",
    type=click.IntRange(min=1),
    default=2048,
    show_default=True,
    metavar="N",
    help="Refuse frames that are larger than this once decoded.",
)
_CACHE_DIRECTORY = click.option(
    "--cache-dir",
    "directory",
    metavar="DIR",
    help="Folder or storage URL that keeps indices.  "
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


def _build_cache(directory: str | None, no_cache: bool) -> CacheOptions:  # noqa: FBT001  # a flag of the command line
    if directory is not None and no_cache:
        raise click.UsageError("--cache-dir and --no-cache exclude each other")
    return CacheOptions(directory=directory, disabled=no_cache)


cache_options = option_set(
    "cache",
    _build_cache,
    {
        "directory": _CACHE_DIRECTORY,
        "no_cache": click.option("--no-cache", is_flag=True, help="Neither read nor write any index in the cache."),
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How a manifest is worked through."""

    source: SourceOptions

    directory: str | None
    """The cache directory; None for the default one."""

    name: str | None
    """Name of the previews; None for the verb's."""

    overwrite: bool
    strict: bool
    timeout: float
    """Seconds that one series may take."""


def _build_settings(directory: str | None, name: str | None, **values: Any) -> RunSettings:
    own = {each: values.pop(each) for each in ("overwrite", "strict", "timeout")}
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
            help="Folder or storage URL that indices, previews and results are written to.  "
            "[default: DICOM_SERIES_PREVIEW_CACHE_DIR, else the platform's cache folder]",
        ),
        "name": click.option("--name", metavar="NAME", help="Name of these previews.  [default: the verb]"),
        "overwrite": click.option(
            "--overwrite", is_flag=True, help="Make all of it anew, also what is there with other options."
        ),
        "strict": click.option("--strict", is_flag=True, help="Refuse to start when a line is not understood."),
        "timeout": click.option(
            "--timeout-per-series",
            "timeout",
            type=click.FloatRange(min=0, min_open=True),
            default=600.0,
            show_default=True,
            metavar="SECONDS",
            help="Time after which a series counts as failed.",
        ),
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
            help="Dask scheduler to run on, tcp:// or tls://.  [default: DASK_SCHEDULER_ADDRESS, else a local cluster]",
        ),
        "scheduler_file": click.option(
            "--scheduler-file", metavar="PATH", help="JSON file that a Dask scheduler wrote: run on that one."
        ),
        "workers": click.option(
            "--workers",
            type=click.IntRange(min=1),
            metavar="N",
            help="Processes of the local cluster.  [default: one per core]",
        ),
        "wait_for_workers": click.option(
            "--wait-for-workers",
            type=click.FloatRange(min=0),
            default=60.0,
            show_default=True,
            metavar="SECONDS",
            help="How long to wait for the scheduler to answer, and for a worker, at first and when all are gone.",
        ),
        "performance_report": click.option(
            "--performance-report",
            metavar="FILE",
            help="Write Dask's performance report to this HTML file or URL when the run ends or is interrupted: "
            "pip install 'dsp-batch[dashboard]'.",
        ),
    },
)

json_option: Option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
