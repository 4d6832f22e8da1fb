"""Real series in the folders that people keep them in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pydicom
from data_folder import DATA, list_objects, parse_file

from dsp_batch.dicom.headers.values import HeaderDecoder

SERIES = {
    "8a1ad4ff-5087-5d42-97ea-e1016fd9325b": 4,
    "740f616b-06dc-5907-b5ed-c2aaefc7a6da": 5,
    "a6b0baa7-e2ea-5944-a3c5-72af4c0e9297": 4,
    "de083ca2-16df-5375-8e37-f06bcfec5135": 1,
}
"""UUID of a small real series → number of its instances."""

JUNK = {
    "DICOMDIR": b"not what it says",
    "README.TXT": b"Viewer for Windows",
    "VIEWER/autorun.inf": b"[autorun]",
    ".Trashes/IM0001": b"\0" * 200,
}
"""What CDs have besides series."""

LAYOUTS = ("flat", "study", "download", "cd", "export")


def read_uid(series_uuid: str) -> str:
    """The SeriesInstanceUID of a real series."""
    header = parse_file(list_objects(DATA / "series" / series_uuid)[0])
    return str(HeaderDecoder(header).attributes().text("SeriesInstanceUID"))


def lay_out(layout: str, series: Mapping[str, object] = SERIES) -> Iterator[tuple[str, bytes]]:
    """Paths and contents of some real series and of what lies beside them, in one of the layouts."""
    for rank, series_uuid in enumerate(series):
        for number, path in enumerate(list_objects(DATA / "series" / series_uuid)):
            names = {
                "flat": f"IM{rank + 10 * number:04}",
                "study": f"study {rank // 2}/{rank}-{number}.dcm",
                "download": f"nlst/1000{rank}/1.2.{rank}/CT_1.2.3.{rank}/{number}.dcm",
                "cd": f"DICOM/PAT{rank:05}/ST00000/SE00000/IM{number:05}",
                "export": f"MÜLLER^{rank % 2}/CT 1/{rank}{number}",
            }
            yield names[layout], path.read_bytes()
    yield from JUNK.items()


def write_tree(root: Path, layout: str) -> Path:
    """Write the real series below a folder."""
    for name, data in lay_out(layout):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def rewrite(path: Path, **values: str | None) -> None:
    """Set elements of a file, by keyword; None deletes one."""
    dataset = pydicom.dcmread(path)
    for keyword, value in values.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(path)
