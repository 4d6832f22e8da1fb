"""The facts about IDC that pages rest on: `python tests/idc/idc_facts.py` writes them anew from the installed index."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from dsp_batch.idc.index import IdcIndex, require_idc_index

PROJECT = Path(__file__).parents[2]
FACTS = Path(__file__).with_name("idc_facts.json")

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_COLUMNS = ["crdc_series_uuid", "aws_bucket", "Modality", "collection_id", "analysis_result_id"]
_TWINS = {
    "public-datasets-idc": "idc-open-data",
    "idc-open-idc1": "idc-open-data-two",
    "idc-open-cr": "idc-open-data-cr",
}
"""Bucket of IDC at Google → the one at AWS with the same objects."""

_OUR_OWN = re.compile(rf"(?:/|series/)({_UUID})")
"""UUIDs in paths of the generated collection, or below roots that are not IDC's."""


class Named:
    """What pages say of IDC: series, the buckets that they are in, prefixes, and collections with a modality."""

    def __init__(self) -> None:
        self.series: set[str] = set()
        self.placed: set[tuple[str, str]] = set()
        """Bucket at AWS, and the UUID of a series in it."""

        self.prefixes: set[str] = set()
        self.collections: set[tuple[str, str | None]] = set()

    def read(self, text: str) -> None:
        """Take what a page says."""
        for bucket, series in re.findall(rf"(?:s3|gs)://(idc-open-[a-z0-9-]+|public-datasets-idc)/({_UUID})", text):
            self.placed.add((_TWINS.get(bucket, bucket), series))
        elsewhere = {*_OUR_OWN.findall(text)} - {series for _, series in self.placed}
        self.series |= {*re.findall(_UUID, text)} - elsewhere
        self.prefixes |= {*re.findall(r"\b([0-9a-f]{8})\*", text)}
        for line in re.findall(r"--collection-id [a-z0-9_]+.*", text):
            modality = re.search(r"--modality (\S+)", line)
            self.collections.add((line.split()[1], modality and modality[1]))


def read_pages() -> Named:
    """Read what README and docs say."""
    named = Named()
    for page in [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]:
        named.read(page.read_text(encoding="utf-8"))
    return named


def look_up(index: IdcIndex, named: Named) -> dict[str, Any]:
    """Find in an index what it holds of the series, prefixes and collections that pages name."""
    series: dict[str, dict[str, str]] = {}
    prefixes, collections = Counter[str](), dict[str, Counter[str]]()
    wanted = {collection for collection, _ in named.collections}
    for batch in pq.ParquetFile(index.path).iter_batches(columns=_COLUMNS):
        for row in batch.to_pylist():
            uuid = row["crdc_series_uuid"]
            if uuid in named.series:
                series[uuid] = {"bucket": row["aws_bucket"], "modality": row["Modality"]}
            if uuid[:8] in named.prefixes:
                prefixes[uuid[:8]] += 1
            if row["collection_id"] in wanted and row["analysis_result_id"] is None:
                collections.setdefault(row["collection_id"], Counter())[row["Modality"]] += 1
    return {
        "series": dict(sorted(series.items())),
        "prefixes": dict(sorted(prefixes.items())),
        "collections": {name: dict(sorted(counts.items())) for name, counts in sorted(collections.items())},
    }


def read_facts() -> Mapping[str, Any]:
    """Read the facts that are kept beside the tests."""
    facts: Mapping[str, Any] = json.loads(FACTS.read_text(encoding="utf-8"))
    return facts


if __name__ == "__main__":
    FACTS.write_text(json.dumps(look_up(require_idc_index(), read_pages()), indent=1) + "\n", encoding="utf-8")
