"""A client of the viewer's API, as a script of a user would be, and viewers that tests look into."""

from __future__ import annotations

import http.client
import json
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from written_objects import add_pixels, make_dataset, write_dataset

from dsp_batch.web.viewer.server.running import view

SECONDS = 60.0
"""Seconds that an answer, or a scan, may take on a busy machine."""


class Got(NamedTuple):
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def pixels(self) -> Any:
        """The picture: (rows, columns) or (rows, columns, 3)."""
        return np.asarray(Image.open(BytesIO(self.body)))

    @property
    def samples(self) -> Any:
        """What `raw` sends, by its headers alone."""
        headers = self.headers
        is_float = headers["X-Frame-Value-Type"] == "float"
        kind = "f" if is_float else "i" if headers["X-Frame-Pixel-Representation"] == "1" else "u"
        dtype = np.dtype(f"<{kind}{int(headers['X-Frame-Bits-Allocated']) // 8}")
        count = int(headers["X-Frame-Samples-Per-Pixel"])
        shape = int(headers["X-Frame-Rows"]), int(headers["X-Frame-Columns"])
        return np.frombuffer(self.body, dtype).reshape(shape if count == 1 else (*shape, count))


class Client:
    """Asks a viewer, with its token.

    Args:
        url: What the program prints.
    """

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 0
        self.token = parts.fragment.removeprefix("token=")

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Got:
        """Ask once; header names have `_` for `-`, and an empty value leaves a header out."""
        asked = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        asked |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(self.host, self.port, timeout=SECONDS)
        try:
            connection.request(method, path, body, {name: value for name, value in asked.items() if value})
            answer = connection.getresponse()
            return Got(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, route: str, **headers: str) -> Got:
        """Ask a route of the API."""
        return self.ask(f"/api/{route}", **headers)

    def put(self, route: str, value: Any) -> Got:
        """Put JSON to a route of the API."""
        return self.ask(f"/api/{route}", "PUT", json.dumps(value).encode(), Content_Type="application/json")

    def wait_for_scan(self) -> list[dict[str, Any]]:
        """Wait until all sources were looked through, and list the files."""
        limit = time.monotonic() + SECONDS
        while not self.get("health").json["scan_complete"]:
            assert time.monotonic() < limit, "the scan does not end"
            time.sleep(0.02)
        files: list[dict[str, Any]] = self.get("files").json["files"]
        return files

    def find_file(self, end: str) -> int:
        """Number of the file whose path ends so."""
        return next(each["index"] for each in self.wait_for_scan() if each["path"].endswith(end))


@contextmanager
def run_viewer(*sources: Any, **options: Any) -> Iterator[Client]:
    """A viewer in this process, and a client of it."""
    with view(list(sources), browser=False, **options) as viewer:
        yield Client(viewer.url)


def write_series(folder: Path, count: int, number: int = 1, size: int = 16, **values: Any) -> None:
    """Write a CT series of square images, head first by their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for rank in range(count):
        known = {
            "SOPInstanceUID": f"1.2.3.{number}.{rank}",
            "SeriesInstanceUID": f"1.2.3.{number}",
            "StudyInstanceUID": "1.2.3",
            "Modality": "CT",
            "InstanceNumber": rank + 1,
            "ImagePositionPatient": [0, 0, -float(rank)],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "WindowCenter": 100,
            "WindowWidth": 400,
        }
        data = write_dataset(add_pixels(make_dataset(**known | values), size=size))
        (folder / f"{rank:04}.dcm").write_bytes(data)
