import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from faulty_server import run_faulty_server
from servers import S3Server

from dsp_batch.errors import SinkError, StorageError
from dsp_batch.model.series import Receipt
from dsp_batch.storage import objects, retry
from dsp_batch.storage.objects import delete, list_keys, read_whole, remove_stale_temporary, write_whole
from dsp_batch.storage.usage import measure_usage


@pytest.fixture
def bucket(s3_environment: S3Server) -> str:
    name = f"cache-{uuid.uuid4().hex[:8]}"
    s3_environment.create_bucket(name)
    return f"s3://{name}"


def _names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_a_file_is_written_and_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "out.webp"

    assert write_whole(str(target), b"one") == Receipt(url=str(target), size=3)
    write_whole(target.as_uri(), b"two")

    assert read_whole(str(target)) == b"two"
    assert _names(tmp_path) == ["out.webp"]


def test_a_missing_folder_is_an_error_or_made(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "out.webp"

    with pytest.raises(SinkError, match=f"there is no folder {target.parent}; create it first"):
        write_whole(str(target), b"x")
    write_whole(str(target), b"x", make_parents=True)
    assert target.read_bytes() == b"x"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    target = tmp_path / "out.webp"
    target.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(SinkError, match=r"cannot write .*out\.webp: file too large"):
            write_whole(str(target), bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert target.read_bytes() == b"old"
    assert _names(tmp_path) == ["out.webp"]


def test_an_interrupt_at_any_moment_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    target = tmp_path / "out.webp"
    old, new = b"old", bytes(300_000)
    seen = set()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for step in range(1, 400):
            target.write_bytes(old)
            try:
                signal.setitimer(signal.ITIMER_REAL, step * 2e-6)
                write_whole(str(target), new)
                signal.setitimer(signal.ITIMER_REAL, 0)
                outcome = "finished"
            except KeyboardInterrupt:
                outcome = "interrupted"
            seen.add(outcome)
            assert _names(tmp_path) == ["out.webp"]
            assert target.read_bytes() in (old, new)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert "interrupted" in seen


def test_a_folder_cannot_be_written_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()

    with pytest.raises(SinkError, match="it is a folder"):
        write_whole(str(tmp_path / "out"), b"x")
    assert _names(tmp_path) == ["out"]


def test_an_unwritable_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    user = os.geteuid()
    if user == 0:  # who may write everywhere
        os.seteuid(65534)
    try:
        with pytest.raises(SinkError, match="permission denied; choose another place") as caught:
            write_whole(str(tmp_path / "out.webp"), b"x")
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o755)
    assert caught.value.reason == "write-failed"


def test_a_full_disk() -> None:
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare to mount a small disk")
    program = (
        "from dsp_batch.errors import SinkError\n"
        "from dsp_batch.storage.objects import write_whole\n"
        "import os\n"
        "try:\n    write_whole('/mnt/out', bytes(1_000_000))\n"
        "except SinkError as error:\n    print(error)\n"
        "print(os.listdir('/mnt'))\n"
    )
    command = f'mount -t tmpfs -o size=64k none /mnt && exec "{sys.executable}" -c "$PROGRAM"'
    namespace = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    done = subprocess.run(
        [*namespace, "sh", "-c", command],
        env={**os.environ, "PROGRAM": program, "PYTHONPATH": str(Path(objects.__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if "mount:" in done.stderr or "unshare:" in done.stderr:
        pytest.skip("may not mount a small disk here")

    assert done.stdout == "cannot write /mnt/out: the disk is full or the quota used up; free some space\n[]\n"


def test_files_are_listed_below_a_folder_without_temporary_ones(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x").write_bytes(b"123")
    (tmp_path / "y").write_bytes(b"")
    (tmp_path / "a" / ".x.1234.tmp").write_bytes(b"1")

    listed = list(list_keys(str(tmp_path)))

    assert [(each.key, each.size) for each in listed] == [("a/b/x", 3), ("y", 0)]
    assert listed[1].modified == (tmp_path / "y").stat().st_mtime
    assert list(list_keys(str(tmp_path / "none"))) == []


def test_deleting_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    delete(str(tmp_path / "x"))
    delete(str(tmp_path / "x"))

    assert _names(tmp_path) == []


def test_only_old_temporary_files_are_removed(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    names = ("deep/.a.tmp", ".b.tmp", "c.tmp", ".d")
    for name in (*names, ".young.tmp"):
        (tmp_path / name).write_bytes(b"")
    yesterday = time.time() - 90_000
    for name in names:
        os.utime(tmp_path / name, (yesterday, yesterday))

    assert remove_stale_temporary(str(tmp_path)) == 2
    assert sorted(each.name for each in tmp_path.iterdir()) == [".d", ".young.tmp", "c.tmp", "deep"]
    assert remove_stale_temporary(str(tmp_path / "none")) == 0


def test_the_life_of_an_object_in_a_bucket(bucket: str, s3_environment: S3Server) -> None:
    url = f"{bucket}/a/b c/x+ü.parquet"
    with measure_usage() as usage:
        assert read_whole(url) is None
        assert write_whole(url, b"one") == Receipt(url=url, size=3)
        write_whole(url, b"two!")
        assert read_whole(url) == b"two!"
    assert (usage.requests, usage.bytes_read) == (4, 4)

    assert [(each.key, each.size) for each in list_keys(f"{bucket}/a")] == [("b c/x+ü.parquet", 4)]
    assert list(list_keys(f"{bucket}/b")) == []
    held = s3_environment.client().get_object(Bucket=bucket[5:], Key="a/b c/x+ü.parquet")
    assert held["Body"].read() == b"two!"
    delete(url)
    delete(url)
    assert read_whole(url) is None
    assert remove_stale_temporary(bucket) == 0


def test_many_keys_are_listed_page_by_page(bucket: str, s3_environment: S3Server) -> None:
    keys = [f"p/{index % 16:x}/{index:04}" for index in range(2100)]
    s3_environment.put_many(bucket[5:], dict.fromkeys([*keys, "other/x"], b"1"))

    with measure_usage() as usage:
        listed = [each.key for each in list_keys(f"{bucket}/p")]

    assert listed == sorted(key[2:] for key in keys)
    assert usage.requests == 3
    assert next(iter(list_keys(bucket))).modified == pytest.approx(time.time(), abs=300)


def test_a_listing_goes_on_behind_the_last_key_after_a_failure() -> None:
    objects = {f"/bucket/p/{index:04}": b"1" for index in range(5)}
    with run_faulty_server(objects) as server:
        server.faults += ["503", "reset"]
        listed = [each.key for each in list_keys("s3://bucket/p", endpoint_url=server.url)]

    assert listed == [f"{index:04}" for index in range(5)]


@pytest.mark.parametrize("fault", ["503", "500", "429", "reset", "close"])
def test_a_write_that_meets_a_temporary_failure_is_tried_again(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.001)
    with run_faulty_server({}) as server:
        server.faults += [fault, fault]
        write_whole("s3://bucket/a/x", b"data", endpoint_url=server.url)

        assert server.objects == {"/bucket/a/x": b"data"}
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("fault", "attempts", "message"),
    [
        ("503", 6, "HTTP 503 SlowDown after 6 attempts; check the network and try again"),
        ("reset", 12, "could not connect after 6 attempts; check the network and try again"),  # aiohttp doubles these
        ("403", 1, "access denied (AccessDenied; the request was anonymous)"),
    ],
)
def test_a_write_that_never_succeeds_says_so_in_one_line_and_leaves_the_old_object(
    fault: str, attempts: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.001)
    with run_faulty_server({"/bucket/x": b"old"}) as server:
        server.faults += [fault] * 30
        with pytest.raises(SinkError) as caught:
            write_whole("s3://bucket/x", b"new", endpoint_url=server.url)

        assert caught.value.message == f"cannot write s3://bucket/x: {message}"
        assert caught.value.reason == "write-failed"
        assert server.objects == {"/bucket/x": b"old"}
        assert len(server.requests) <= attempts


@pytest.mark.parametrize("fault", ["503", "reset", "cut", "close"])
def test_reading_from_the_cache_is_tried_again(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.001)
    with run_faulty_server({"/bucket/x": b"data"}) as server, measure_usage() as usage:
        server.faults += [fault, fault]

        assert read_whole("s3://bucket/x", endpoint_url=server.url) == b"data"
        assert len(server.requests) == usage.requests == 3
        assert usage.bytes_read == 4


def test_a_large_object_is_one_put() -> None:
    data = bytes(101 << 20)
    with run_faulty_server({}) as server:
        write_whole("s3://bucket/x", data, endpoint_url=server.url)

        assert server.requests == ["/bucket/x"]
        assert server.objects["/bucket/x"] == data


def test_empty_parts_of_a_key_are_refused(bucket: str) -> None:
    with pytest.raises(StorageError, match="two slashes in a row"):
        write_whole(f"{bucket}//a/x", b"data")
    with pytest.raises(StorageError, match="two slashes in a row"):
        read_whole(f"{bucket}/a//x")


def test_a_missing_bucket_is_named(s3_environment: S3Server) -> None:
    url = "s3://no-such-bucket-here/x"
    with pytest.raises(SinkError, match="no such bucket; create it first") as written:
        write_whole(url, b"x")
    assert written.value.reason == "write-failed"
    with pytest.raises(StorageError, match="no such bucket") as read:
        read_whole(url)
    assert read.value.reason == "not-found"
    with pytest.raises(StorageError, match="no such bucket"):
        list(list_keys(url))


def test_a_wrong_secret_is_denied_and_not_repeated(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2hunter2")

    with pytest.raises(SinkError, match=r"access denied \(SignatureDoesNotMatch; the request was signed\)") as caught:
        write_whole(f"{bucket}/x", b"x")
    assert "hunter2" not in caught.value.message
    assert "\n" not in caught.value.message
    with pytest.raises(StorageError, match="access denied") as read:
        read_whole(f"{bucket}/x")
    assert read.value.reason == "access-denied"


def test_writing_without_credentials_is_denied(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")

    with pytest.raises(SinkError, match="the request was anonymous"):
        write_whole(f"{bucket}/x", b"x")


def test_an_endpoint_given_by_hand(bucket: str, s3_environment: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    write_whole(f"{bucket}/x", b"x", endpoint_url=s3_environment.endpoint)

    assert read_whole(f"{bucket}/x", endpoint_url=s3_environment.endpoint) == b"x"
    assert [each.key for each in list_keys(bucket, endpoint_url=s3_environment.endpoint)] == ["x"]


def test_http_servers_are_not_written() -> None:
    with pytest.raises(SinkError, match="only read"):
        write_whole("https://host/x", b"x")


def test_any_other_file_system_of_fsspec() -> None:
    url = f"memory://cache-{uuid.uuid4().hex[:8]}"
    write_whole(f"{url}/a/x", b"123", make_parents=True)

    assert read_whole(f"{url}/a/x") == b"123"
    assert [(each.key, each.size) for each in list_keys(url)] == [("a/x", 3)]
    delete(f"{url}/a/x")
    assert read_whole(f"{url}/a/x") is None
    assert list(list_keys(url)) == []
