import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from readers import take_all
from servers import S3Server, WebServer

from dsp_batch.errors import StorageError
from dsp_batch.model.series import ObjectInfo
from dsp_batch.storage.runtime import forget_opened
from dsp_batch.storage.store import Store, build_store


def _reason(result: object) -> str:
    assert isinstance(result, StorageError)
    return result.reason


def test_a_public_bucket_is_read_without_looking_for_credentials(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3_server.create_bucket("idc-open-data-cr", public=True)
    s3_server.put("idc-open-data-cr", {"s/x": b"12"})
    program = (
        "import sys; from dsp_batch.storage.store import Store;"
        "print(Store('s3://idc-open-data-cr').list_objects('s')); print('botocore' in sys.modules)"
    )
    # A broken profile would make any look at the AWS chain fail.
    environment = {**os.environ, "AWS_ENDPOINT_URL": s3_server.endpoint, "AWS_PROFILE": "missing"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.splitlines() == ["(ObjectInfo(name='x', size=2),)", "False"]


def test_keys_in_the_environment_and_reading_the_cache_need_neither_botocore_nor_s3fs(
    s3_environment: S3Server, bucket: str
) -> None:
    s3_environment.put(bucket, {"s/x": b"12"})
    program = (
        "import sys\n"
        "from dsp_batch.storage.objects import list_keys, read_whole\n"
        "from dsp_batch.storage.store import Store\n"
        "root = sys.argv[1]\n"
        "print(len(Store(root).list_objects('s')), read_whole(root + '/s/x'), len(list(list_keys(root))))\n"
        "print({'botocore', 's3fs', 'fsspec', 'aiohttp'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", program, f"s3://{bucket}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.splitlines() == ["1 b'12' 1", "set()"]


def test_without_credentials_requests_are_anonymous(s3_server: S3Server, bucket: str) -> None:
    public = f"public-{uuid.uuid4().hex[:8]}"
    s3_server.create_bucket(public, public=True)
    s3_server.put(public, {"s/x": b"12"})
    s3_server.put(bucket, {"s/x": b"12"})

    assert Store(f"s3://{public}", endpoint_url=s3_server.endpoint).list_objects("s")
    private = Store(f"s3://{bucket}", endpoint_url=s3_server.endpoint)
    with pytest.raises(StorageError, match="AccessDenied; the request was anonymous") as caught:
        private.list_objects("s")
    assert caught.value.reason == "access-denied"
    read = private.read("s", {ObjectInfo(name="x", size=2): take_all()})["x"]
    assert _reason(read) == "access-denied"
    assert "anonymous" in str(read)


def test_signed_requests_by_hand_need_credentials(s3_server: S3Server, bucket: str) -> None:
    with pytest.raises(StorageError, match="no AWS credentials") as caught:
        Store(f"s3://{bucket}", endpoint_url=s3_server.endpoint, anonymous=False).list_objects("s")
    assert caught.value.reason == "access-denied"


def test_anonymous_by_hand_ignores_credentials(s3_environment: S3Server, bucket: str) -> None:
    with pytest.raises(StorageError, match="anonymous"):
        Store(f"s3://{bucket}", anonymous=True).list_objects("s")


def test_a_wrong_secret_is_denied_once_and_not_repeated_in_the_message(
    s3_environment: S3Server, bucket: str, proxy: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2hunter2")
    store = Store(f"s3://{bucket}", endpoint_url=proxy.url)

    result = store.read("s", {ObjectInfo(name="x", size=2): take_all()})["x"]

    assert _reason(result) == "access-denied"
    assert "SignatureDoesNotMatch; the request was signed" in str(result)
    assert "hunter2" not in str(result)
    assert "\n" not in str(result)
    assert len(proxy.requests()) == 1
    with pytest.raises(StorageError, match="SignatureDoesNotMatch"):
        store.list_objects("s")
    with pytest.raises(StorageError, match="SignatureDoesNotMatch"):
        store.list_series("s")


def test_keys_of_a_named_profile(
    s3_server: S3Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3_server.put(bucket, {"s/x": b"12"})
    keys = f"[lab]\naws_access_key_id = {s3_server.key}\naws_secret_access_key = {s3_server.secret}\n"
    (tmp_path / "credentials").write_text(keys)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "lab")

    assert Store(f"s3://{bucket}", endpoint_url=s3_server.endpoint).list_objects("s")
    monkeypatch.setenv("AWS_PROFILE", "other")
    forget_opened()
    with pytest.raises(StorageError, match="other"):
        Store(f"s3://{bucket}", endpoint_url=s3_server.endpoint).list_objects("s")


def test_credentials_that_expire_are_renewed(
    s3_server: S3Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3_server.put(bucket, {"s/x": b"12"})
    calls = tmp_path / "calls"
    answer = json.dumps(
        {
            "Version": 1,
            "AccessKeyId": s3_server.key,
            "SecretAccessKey": s3_server.secret,
            "Expiration": "2020-01-01T00:00:00Z",
        }
    )
    script = tmp_path / "keys.py"
    # The first answer expires in a moment, the second holds: the client must ask again.
    script.write_text(
        "import datetime, pathlib\n"
        f"calls = pathlib.Path({str(calls)!r})\n"
        "n = len(calls.read_text()) if calls.exists() else 0\n"
        "calls.write_text('x' * (n + 1))\n"
        "end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2 if n == 0 else 3600)\n"
        f"print({answer!r}.replace('2020-01-01T00:00:00Z', end.isoformat()))\n"
    )
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {sys.executable} {script}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    store = Store(f"s3://{bucket}", endpoint_url=s3_server.endpoint)

    assert store.list_objects("s")
    assert store.read("s", {ObjectInfo(name="x", size=2): take_all()}) == {"x": b"12"}
    assert len(calls.read_text()) == 2


def test_the_endpoint_given_by_hand_comes_before_the_environment_and_the_manifest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert build_store("s3://b", manifest_endpoint_url="http://m").endpoint_url == "http://m"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://e")
    assert build_store("s3://b", manifest_endpoint_url="http://m").endpoint_url == "http://e"
    assert build_store("s3://b", endpoint_url="http://h", manifest_endpoint_url="http://m").endpoint_url == "http://h"


@pytest.mark.parametrize(
    ("endpoint", "given", "anonymous", "is_unsigned"),
    [
        ("http://127.0.0.1:18090", {}, None, True),
        ("https://s3.amazonaws.com.example.org", {}, None, True),
        ("http://127.0.0.1:18090", {}, False, False),
        ("http://127.0.0.1:18090", {"endpoint_url": "http://127.0.0.1:18090"}, None, None),
        ("https://s3.us-east-1.amazonaws.com", {}, None, None),
        (None, {}, None, None),
    ],
)
def test_a_manifest_does_not_decide_which_server_sees_signed_requests(
    endpoint: str | None, given: dict[str, str], *, anonymous: bool | None, is_unsigned: bool | None
) -> None:
    store = build_store("s3://private", manifest_endpoint_url=endpoint, anonymous=anonymous, **given)  # type: ignore[arg-type]  # endpoint_url alone

    assert store.anonymous is is_unsigned


def test_an_endpoint_of_the_environment_is_one_given_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:18090")

    assert build_store("s3://private", manifest_endpoint_url="http://127.0.0.1:1").anonymous is None
