"""A collection of the shape of the Imaging Data Commons, drawn from quantiles: as many series of each kind, as large.

`python tests/benchmarks/idc_shape.py` measures the quantiles anew where the package idc-index-data is installed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

QUANTILES = Path(__file__).with_name("idc_shape.json")
SHARES = (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.97, 0.99, 0.999, 1.0)
"""Of the series of a kind: where its quantiles are taken."""

_FEWEST = 300
"""Series below which kinds are taken together, those with pixels and those without."""

Floats = npt.NDArray[np.floating[Any]]


class Kind(NamedTuple):
    """Series of one modality and SOP class."""

    modality: str
    sop_class_uid: str
    series: int
    objects: int
    """Of all its series together."""

    megabytes: float
    objects_per_series: tuple[float, ...]
    """Quantiles at `SHARES`."""

    megabytes_per_object: tuple[float, ...]


class Shape(NamedTuple):
    """What a collection is made of."""

    source: str
    buckets: dict[str, int]
    """Bucket → series."""

    kinds: tuple[Kind, ...]


def read_shape() -> Shape:
    """The shape of IDC as it was measured."""
    found = json.loads(QUANTILES.read_text())
    return Shape(found["source"], found["buckets"], tuple(Kind(*values) for values in found["kinds"]))


def draw_collection(shape: Shape, series: int, seed: int) -> pa.Table:
    """Draw a collection in the columns of the IDC index, in random order.

    Args:
        shape: What it is made of.
        series: How many series; with all of them each kind has exactly as many as it has in IDC.
        seed: Decides everything.
    """
    chance = np.random.default_rng(seed)
    tables = [_draw_kind(kind, count, chance) for kind, count in _share_out(shape.kinds, series) if count]
    table = pa.concat_tables(tables).take(pa.array(chance.permutation(series)))
    buckets = chance.choice(
        list(shape.buckets), series, p=np.array(list(shape.buckets.values())) / sum(shape.buckets.values())
    )
    columns = {"crdc_series_uuid": _draw_uuids(series, chance), "aws_bucket": buckets.tolist()}
    columns |= {
        name: [f"2.25.{number}" for number in chance.integers(10**17, 10**18, series)]
        for name in ("SeriesInstanceUID", "StudyInstanceUID")
    }
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values, pa.string()))
    return table


def _share_out(kinds: tuple[Kind, ...], series: int) -> Iterator[tuple[Kind, int]]:
    """Numbers of series that add up, each kind's within one of its share."""
    bounds = np.rint(np.cumsum([0, *(kind.series for kind in kinds)]) * (series / sum(kind.series for kind in kinds)))
    yield from zip(kinds, np.diff(bounds).astype(int).tolist(), strict=True)


def _draw_kind(kind: Kind, count: int, chance: np.random.Generator) -> pa.Table:
    objects = np.maximum(1, np.rint(_draw(kind.objects_per_series, count, chance))).astype(np.int64)
    megabytes = objects * _draw(kind.megabytes_per_object, count, chance)
    # Size and number of objects are drawn apart, and between quantiles by interpolation: the sum is put right.
    megabytes *= kind.megabytes / kind.series * count / megabytes.sum()
    same = {"Modality": kind.modality, "SOPClassUID": kind.sop_class_uid, "TransferSyntaxUID": "1.2.840.10008.1.2.1"}
    same |= {"collection_id": "drawn", "PatientID": "drawn"}
    columns = {name: pa.array([value] * count) for name, value in same.items()}
    return pa.table({**columns, "instanceCount": pa.array(objects), "series_size_MB": pa.array(megabytes)})


def _draw(quantiles: tuple[float, ...], count: int, chance: np.random.Generator) -> Floats:
    """Values of a distribution, one from each of as many equal slices of it: few series too have its largest."""
    shares = (chance.permutation(count) + chance.random(count)) / count if count > 1 else chance.random(1)
    return np.exp(np.interp(shares, SHARES, np.log(np.maximum(quantiles, 1e-6))))


def _draw_uuids(count: int, chance: np.random.Generator) -> list[str]:
    digits = chance.bytes(16 * count).hex()
    names = (digits[32 * at : 32 * at + 32] for at in range(count))
    return [f"{n[:8]}-{n[8:12]}-4{n[13:16]}-a{n[17:20]}-{n[20:]}" for n in names]


def measure_shape() -> Shape:
    """Measure the index that is installed."""
    from importlib.metadata import version

    import idc_index_data

    from dsp_batch.dicom.sop_classes import lacks_pixels

    names = ["Modality", "SOPClassUID", "instanceCount", "series_size_MB", "aws_bucket"]
    frame = pq.read_table(idc_index_data.IDC_INDEX_PARQUET_FILEPATH, columns=names).to_pandas()
    pixelless = frame["SOPClassUID"].map(lambda uid: lacks_pixels(uid or ""))
    counts = frame.groupby(["Modality", "SOPClassUID"])["SOPClassUID"].transform("size")
    rare = counts < _FEWEST
    frame.loc[rare & pixelless, ["Modality", "SOPClassUID"]] = ["other", "1.2.840.10008.5.1.4.1.1.88.33"]
    frame.loc[rare & ~pixelless, ["Modality", "SOPClassUID"]] = ["OT", "1.2.840.10008.5.1.4.1.1.7"]
    kinds = [_measure_kind(*key, rows) for key, rows in frame.groupby(["Modality", "SOPClassUID"])]
    buckets = {name: int(count) for name, count in frame["aws_bucket"].value_counts().items()}
    kinds.sort(key=lambda kind: -kind.series)
    return Shape(f"idc-index-data {version('idc-index-data')}", buckets, tuple(kinds))


def _measure_kind(modality: str, sop_class_uid: str, rows: Any) -> Kind:
    objects, megabytes = rows["instanceCount"], rows["series_size_MB"]
    return Kind(
        modality,
        sop_class_uid,
        len(rows),
        int(objects.sum()),
        round(float(megabytes.sum()), 3),
        tuple(float(value) for value in objects.quantile(SHARES, interpolation="nearest")),
        tuple(float(f"{value:.4g}") for value in (megabytes / objects).quantile(SHARES)),
    )


def main() -> None:
    """Write the quantiles down."""
    shape = measure_shape()
    kinds = ",\n  ".join(json.dumps(kind) for kind in shape.kinds)
    source, buckets = json.dumps(shape.source), json.dumps(shape.buckets)
    text = f'{{"source": {source},\n "buckets": {buckets},\n "kinds": [\n  {kinds}\n]}}\n'
    QUANTILES.write_text(text)


if __name__ == "__main__":
    main()
