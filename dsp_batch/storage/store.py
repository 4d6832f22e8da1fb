"""The store: one root of series folders, whatever it lies in."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from functools import partial

from dsp_batch.errors import DspBatchError
from dsp_batch.model.ranges import Reader, T
from dsp_batch.model.series import ObjectInfo
from dsp_batch.storage.aws import is_of_aws, resolve_endpoint
from dsp_batch.storage.backend import Backend, join_key
from dsp_batch.storage.flow import MOST_IN_FLIGHT, Flow, find_flow
from dsp_batch.storage.reading import Folder, read_objects
from dsp_batch.storage.retry import retry_temporary
from dsp_batch.storage.runtime import limit_seconds, run_blocking
from dsp_batch.storage.schemes import open_backend
from dsp_batch.storage.tree import ListedFolder, Tree, is_wanted
from dsp_batch.storage.urls import Location, normalise_root, parse_location


@dataclass(frozen=True, slots=True)
class Store:
    """A root of series folders: a small value that pickles and holds no secret.

    The client behind it opens on first use, once per process, with the credentials of that process.
    """

    root: str
    """URL or absolute path, brought into its normal form; see `normalise_root`."""

    _: KW_ONLY
    endpoint_url: str | None = None
    """S3-compatible server; None for the environment's (`AWS_ENDPOINT_URL`), else AWS."""

    anonymous: bool | None = None
    """True for unsigned requests, False for signed ones; None: unsigned for public buckets and without credentials."""

    max_workers: int = MOST_IN_FLIGHT
    """Requests in flight, at most: 64, and more where answers take longer than 40 ms."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", normalise_root(self.root, resolve_endpoint(self.endpoint_url)))

    @property
    def _flow(self) -> Flow:
        return find_flow(self._location, resolve_endpoint(self.endpoint_url))

    @property
    def _location(self) -> Location:
        return parse_location(self.root, resolve_endpoint(self.endpoint_url))

    @property
    def _backend(self) -> Backend:
        return open_backend(self._location, self.endpoint_url, anonymous=self.anonymous, max_workers=self.max_workers)

    @property
    def is_local(self) -> bool:
        """True where the root is a folder of this machine: listing it costs next to nothing."""
        return self._location.path is not None

    def list_series(self, prefix: str = "") -> list[str]:
        """List the series folders of the root.

        Args:
            prefix: What the names start with, letter by letter; empty for all.

        Returns:
            Names of the folders directly below the root, sorted. Nothing below them is listed.

        Raises:
            StorageError: The root does not exist or cannot be listed.
        """
        backend = self._backend
        action = partial(backend.list_folders, prefix)
        return sorted(run_blocking(retry_temporary(action, f"list {self.root}/{prefix}", self._flow)))

    def list_objects(self, series_uuid: str, timeout: float | None = None) -> tuple[ObjectInfo, ...]:
        """List the objects of a series with their sizes, without a request for each.

        Args:
            series_uuid: Name of the folder.
            timeout: Seconds for the whole call; None for no limit.

        Returns:
            The objects directly in it, sorted by name, minus names starting with `.` and `DICOMDIR`; empty where there
            is no such folder.

        Raises:
            StorageError: The root does not exist or cannot be listed, or not in time.
        """
        backend = self._backend
        what = f"list {self.root}/{series_uuid}"
        listing = retry_temporary(partial(backend.list_level, series_uuid), what, self._flow)
        level = run_blocking(limit_seconds(listing, timeout, what))
        wanted = (each for each in level.objects if is_wanted(each.name)) if level else ()
        return tuple(sorted(wanted, key=lambda each: each.name))

    def walk(self, folder: str = "") -> Iterator[ListedFolder]:
        """Walk a folder and all folders below it, a few at a time; see `Tree.walk`."""
        path = self._location.path
        top = os.path.realpath(path / folder) if path is not None else ""
        return Tree(backend=self._backend, url=self.root, flow=self._flow, top=top).walk(folder)

    def read(
        self, folder: str, readers: Mapping[ObjectInfo, Reader[T]], timeout: float | None = None
    ) -> dict[str, T | DspBatchError]:
        """Read objects of a folder, many at once.

        Args:
            folder: Name of the folder that the names of the objects are counted from; empty for the root.
            readers: Object → the generator that says which ranges it needs. A size that is known saves requests
                beyond the end, and half of the CPU.
            timeout: Seconds for the whole call; None for no limit.

        Returns:
            Object name → what its reader returned, or the `DspBatchError` that ended it: what the reader raised, or a
            StorageError with reason `not-found`, `access-denied`, `network` or `timeout`. Other exceptions of a reader
            end the call.

        Raises:
            StorageError: The root itself cannot be opened.
        """
        if not readers:
            return {}
        opened = Folder(
            backend=self._backend,
            name=folder,
            url=join_key(self.root, folder).rstrip("/"),
            flow=self._flow,
        )
        return run_blocking(read_objects(opened, readers, max_workers=self.max_workers, seconds=timeout))


def build_store(
    root: str,
    *,
    endpoint_url: str | None = None,
    manifest_endpoint_url: str | None = None,
    anonymous: bool | None = None,
    max_workers: int = MOST_IN_FLIGHT,
) -> Store:
    """Build a store whose endpoint is settled here, so that workers need not share this process's environment.

    Args:
        root: As in `normalise_root`.
        endpoint_url: Given by hand: comes first, before `AWS_ENDPOINT_URL`.
        manifest_endpoint_url: Named by a manifest: comes last, before AWS. Unless it is AWS's own, it is asked without
            a signature: a manifest does not decide who sees the user's keys and session tokens.
        anonymous: As in `Store`.
        max_workers: As in `Store`.
    """
    endpoint = resolve_endpoint(endpoint_url, manifest_endpoint_url)
    if anonymous is None and manifest_endpoint_url and not (resolve_endpoint(endpoint_url) or is_of_aws(endpoint)):
        anonymous = True
    return Store(root, endpoint_url=endpoint, anonymous=anonymous, max_workers=max_workers)
