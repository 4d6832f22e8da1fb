"""The files of a gallery, written one by one, each whole under its name."""

from __future__ import annotations

from dataclasses import dataclass, field

from dsp_batch.storage.objects import delete, list_keys, write_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Where a gallery is written, and what has been written of it."""

    output: str
    """Path or URL of its folder."""

    endpoint_url: str | None
    stamp: str
    """Tells this writing from earlier ones, whose files may still lie there."""

    written: set[str] = field(default_factory=set)
    """Names of the files that belong to this writing."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file."""
        write_whole(f"{self.output}/{name}", data, make_parents=True, endpoint_url=self.endpoint_url)
        self.written.add(name)

    def list(self, folder: str) -> set[str]:
        """List the names of the files in a folder."""
        keys = list_keys(f"{self.output}/{folder}", endpoint_url=self.endpoint_url)
        return {f"{folder}/{entry.key}" for entry in keys}

    def delete_others(self) -> None:
        """Delete the data of earlier writings that no longer belong to the page."""
        for name in self.list("data") - self.written:
            delete(f"{self.output}/{name}", endpoint_url=self.endpoint_url)
