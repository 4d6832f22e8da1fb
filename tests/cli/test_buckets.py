"""Both programs with series, cache and output in buckets of a real S3 server."""

from __future__ import annotations

import io
import uuid

import pytest
from outcomes import Run
from PIL import Image
from servers import S3Server

from dsp_batch.phantom.objects import PhantomSeries


@pytest.fixture
def bucket(s3_server: S3Server, ct: PhantomSeries) -> str:
    """A private bucket with the CT."""
    name = f"cli-{uuid.uuid4().hex[:12]}"
    s3_server.create_bucket(name)
    s3_server.put(name, {f"{ct.series_uuid}/{each.name}": each.data for each in ct.objects})
    return name


def read_key(server: S3Server, bucket: str, key: str) -> bytes:
    data: bytes = server.client().get_object(Bucket=bucket, Key=key)["Body"].read()
    return data


def test_a_mosaic_goes_from_bucket_to_bucket(
    preview: Run, s3_environment: S3Server, ct: PhantomSeries, bucket: str
) -> None:
    outcome = preview(
        "mosaic", ct.series_uuid, f"s3://{bucket}/previews/out.webp",
        "--root", f"s3://{bucket}", "--cache-dir", f"s3://{bucket}/cache",
    )  # fmt: skip

    assert (outcome.status, outcome.stdout, outcome.stderr) == (0, "", "")
    assert Image.open(io.BytesIO(read_key(s3_environment, bucket, "previews/out.webp"))).format == "WEBP"
    assert read_key(s3_environment, bucket, f"cache/indices/{ct.series_uuid}_index.parquet")[:4] == b"PAR1"


def test_cache_control_is_set_on_all_that_both_programs_write(
    preview: Run, batches: Run, s3_environment: S3Server, ct: PhantomSeries, bucket: str
) -> None:
    control = ("--cache-control", "public, max-age=60")
    series, cache = f"s3://{bucket}/{ct.series_uuid}", f"s3://{bucket}/cache"
    assert preview("mosaic", series, f"s3://{bucket}/out.webp", "--cache-dir", cache, *control).status == 0
    assert preview("build-index", series, "-o", f"s3://{bucket}/one.parquet", *control).status == 0
    s3_environment.put(bucket, {"manifest.txt": series.encode()})
    manifest = f"s3://{bucket}/manifest.txt"
    assert batches("mosaic", manifest, "--cache-dir", cache, "--workers", 1, *control).status == 0

    client = s3_environment.client()
    listed = client.list_objects_v2(Bucket=bucket)["Contents"]
    written = [each["Key"] for each in listed if not each["Key"].startswith((ct.series_uuid, "manifest"))]
    assert {key.split("/")[0] for key in written} == {"cache", "out.webp", "one.parquet"}
    assert any(key.startswith("cache/previews/mosaic/") and key.endswith(".webp") for key in written)
    controls = {key: client.head_object(Bucket=bucket, Key=key).get("CacheControl") for key in written}
    assert {*controls.values()} == {"public, max-age=60"}, controls


def test_get_index_prints_the_url(preview: Run, s3_environment: S3Server, ct: PhantomSeries, bucket: str) -> None:
    outcome = preview("get-index", f"s3://{bucket}/{ct.series_uuid}", "--cache-dir", f"s3://{bucket}/cache/")

    assert (outcome.status, outcome.stderr) == (0, "")
    assert outcome.stdout == f"s3://{bucket}/cache/indices/{ct.series_uuid}_index.parquet\n"


def test_an_endpoint_given_by_hand_wins(
    preview: Run, s3_environment: S3Server, ct: PhantomSeries, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    outcome = preview(
        "get-image", f"s3://{bucket}/{ct.series_uuid}", f"s3://{bucket}/out.jpg", "--position", 0,
        "--endpoint-url", s3_environment.endpoint, "--no-cache",
    )  # fmt: skip

    assert (outcome.status, outcome.stderr) == (0, "")
    assert read_key(s3_environment, bucket, "out.jpg")[:2] == b"\xff\xd8"


@pytest.mark.usefixtures("s3_environment")
def test_access_denied_says_how_the_request_was_made(
    preview: Run, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")

    for option, word in (("--anon", "anonymous"), ("--no-anon", "signed")):
        outcome = preview("get-index", f"s3://{bucket}/{uuid.uuid4()}", option)
        assert (outcome.status, outcome.stdout, len(outcome.stderr.splitlines())) == (1, "", 1)
        assert f"s3://{bucket}" in outcome.errors[0]
        assert word in outcome.errors[0]


def test_a_bucket_that_is_not_there_is_named(preview: Run, s3_environment: S3Server, ct: PhantomSeries) -> None:
    outcome = preview("get-index", f"s3://no-such-bucket-here/{ct.series_uuid}")

    assert (outcome.status, len(outcome.stderr.splitlines())) == (1, 1)
    assert "no-such-bucket-here" in outcome.errors[0]


def test_a_run_lives_in_a_bucket(
    batches: Run, s3_environment: S3Server, scheduler: str, ct: PhantomSeries, bucket: str
) -> None:
    cache = f"s3://{bucket}/cache"
    line = f"cp s3://{bucket}/{ct.series_uuid}/* .\n".encode()

    outcome = batches("mosaic", "-", "--cache-dir", cache, "--scheduler", scheduler, stdin=line)
    again = batches("mosaic", "-", "--cache-dir", cache, "--scheduler", scheduler, stdin=line)
    status = batches("status", cache)

    assert (outcome.status, again.status, status.status) == (0, 0, 0)
    assert f"1 done, 0 kept, 0 skipped, 0 failed; lines: 0 rejected, 0 duplicate; results in {cache}/runs/" in (
        outcome.stdout
    )
    assert again.stdout == outcome.stdout
    preview = read_key(s3_environment, bucket, f"cache/previews/mosaic/{ct.series_uuid[:2]}/{ct.series_uuid}.webp")
    assert preview[8:12] == b"WEBP"
    assert outcome.stdout.split("/runs/")[1].strip() in status.stdout


def test_cine_headers_and_cleaning_work_in_a_bucket(
    preview: Run, batches: Run, s3_environment: S3Server, ct: PhantomSeries, bucket: str
) -> None:
    series, cache = f"s3://{bucket}/{ct.series_uuid}", f"s3://{bucket}/cache"
    s3_environment.put(bucket, {"cache/indices/notes.txt": b"mine"})

    moving = preview("cine", series, f"s3://{bucket}/out.gif", "--frames", 5, "--cache-dir", cache)
    table = preview("headers", series, f"s3://{bucket}/h.csv", "--cache-dir", cache)
    cleaned = batches("clean", cache, "--indices", "--yes")

    assert [(each.status, each.stderr) for each in (moving, table, cleaned)] == [(0, "")] * 3
    head = s3_environment.client().head_object(Bucket=bucket, Key="out.gif")
    assert head["ContentType"] == "image/gif"
    assert read_key(s3_environment, bucket, "h.csv").startswith(b"Index,")
    left = s3_environment.client().list_objects_v2(Bucket=bucket, Prefix="cache/")["Contents"]
    assert [each["Key"] for each in left] == ["cache/indices/notes.txt"]
