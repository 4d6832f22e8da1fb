"""`view`: look into series in a browser."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import click

from dsp_batch.cli.options import endpoint_option, log_options
from dsp_batch.cli.program import EXIT_ERROR
from dsp_batch.storage.public_buckets import DEFAULT_ROOT

# ruff: noqa: PLC0415  # whatever a command needs is imported when it runs, so that --help is quick

_log = logging.getLogger(__name__)


_NEAR_PORT = 8000
"""Port at home that leads to a socket on a remote machine."""


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "-p",
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="N",
    help="Port; 0 takes a free one.  [default: 0]",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="NAME",
    help="Name or address of this machine to listen at.",
)
@click.option("--unix-socket", metavar="PATH", help="Socket to listen at instead of a port.")
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="End after so many seconds without a request, counted from the end of the scan.",
)
@click.option("--no-recursive", is_flag=True, help="Look for files directly in a folder, not in the folders below it.")
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Show only files whose element holds the text, in any letter case; repeatable. FIELD is a keyword, or "
    "patient_id, patient_name, study_description, study_date, study_uid, series_description, series_number, "
    "series_uid or modality.",
)
@click.option("--annotations", metavar="CSV", help="File of rectangular regions to show.")
@click.option("--mask", "masked", is_flag=True, help="Show pseudonyms in place of the attributes of patients.")
@click.option(
    "--cache-budget",
    "budget_mb",
    type=click.IntRange(min=16),
    default=512,
    show_default=True,
    metavar="MB",
    help="Memory for frames.",
)
@click.option("--no-token", is_flag=True, help="Answer requests without a bearer token.")
@click.option(
    "--root",
    default=DEFAULT_ROOT,
    show_default=True,
    metavar="URL",
    help="Where to look for series that do not name their own place: s3://, https://, gs://, az://, or a folder.",
)
@endpoint_option
@click.option(
    "--anon/--no-anon",
    "anonymous",
    default=None,
    help="Send requests without or with credentials.  "
    "[default: without for IDC's public buckets and where no credentials are found]",
)
@click.option(
    "--cache-dir",
    "cache",
    metavar="DIR",
    help="Folder or storage URL to keep indices in. Those of series on this machine are kept only where it is given.  "
    "[default: DICOM_SERIES_PREVIEW_CACHE_DIR, else the platform's cache folder]",
)
@click.option("--no-cache", is_flag=True, help="Neither read nor write indices in the cache.")
@log_options
def view(  # noqa: PLR0913  # the options of the server, each by its name
    sources: tuple[str, ...],
    port: int,
    host: str,
    unix_socket: str | None,
    timeout: float | None,
    *,
    no_browser: bool,
    no_token: bool,
    no_recursive: bool,
    no_cache: bool,
    **settings: Any,
) -> int:
    """Look into series in a browser: every frame, its values and its header.

    SOURCE is a DICOM file, a folder, a series by name or URL, a manifest, or a cache directory. The address of the page
    is printed on standard output. Ctrl-C ends the server.
    """
    import socket
    from pathlib import Path

    from dsp_batch.web.viewer.options import Listening, ViewOptions
    from dsp_batch.web.viewer.server.running import open_browser, start_viewer

    if no_cache and settings["cache"] is not None:
        raise click.UsageError("--cache-dir and --no-cache exclude each other")
    options = ViewOptions(recursive=not no_recursive, uses_cache=not no_cache, **settings)
    listening = Listening(host=host, port=port, unix_socket=unix_socket, timeout=timeout, has_token=not no_token)
    viewer = start_viewer(sources, options, listening)
    try:
        click.echo(f"dicom-series-preview: server running at {viewer.url}")
        sys.stdout.flush()
        if _is_remote():
            far = str(Path(unix_socket).absolute()) if unix_socket else f"127.0.0.1:{viewer.port}"
            _log.info("from your own machine: ssh -L %d:%s %s", viewer.port or _NEAR_PORT, far, socket.gethostname())
        if not no_browser and not unix_socket and not _is_remote():
            open_browser(viewer)
        if not viewer.wait_for_scan():
            return EXIT_ERROR
        while not viewer.wait(3600):
            pass
    except KeyboardInterrupt:
        _log.info("stopped")
    finally:
        viewer.stop()
    return 0


def _is_remote() -> bool:
    """Tell whether this shell is on another machine than its user."""
    return "SSH_CONNECTION" in os.environ or "SSH_CLIENT" in os.environ
