from pathlib import Path

import botocore.session
import pytest

from dsp_batch.storage.aws import resolve_access
from dsp_batch.storage.public_buckets import is_public


@pytest.mark.parametrize("bucket", ["idc-open-data", "idc-open-data-two", "idc-open-data-cr"])
def test_the_public_buckets_are_read_where_they_are_whatever_the_users_region(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    access = resolve_access(bucket, None)

    assert (access.word, access.region, access.endpoint_url) == ("anonymous", "us-east-1", None)
    assert resolve_access(bucket, None, anonymous=False).word == "signed"


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_region_comes_from_either_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "eu-central-1")

    assert resolve_access("mine", None).region == "eu-central-1"
    assert resolve_access("mine", None, anonymous=True).region == "eu-central-1"


def test_googles_twins_are_public_at_googles_endpoint_only() -> None:
    assert is_public("public-datasets-idc", "https://storage.googleapis.com")
    assert not is_public("public-datasets-idc", None)
    assert not is_public("private", "https://storage.googleapis.com")


def test_an_access_does_not_show_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")

    assert "hunter2" not in repr(resolve_access("mine", None))


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"AWS_SESSION_TOKEN": "token"},
        {"AWS_SECURITY_TOKEN": "old token"},
        {"AWS_REGION": "eu-west-3"},
        {"AWS_PROFILE": "lab"},
        {"AWS_SHARED_CREDENTIALS_FILE": "files"},
        {"AWS_CONFIG_FILE": "files"},
        {"AWS_ACCESS_KEY_ID": ""},
    ],
)
def test_keys_in_the_environment_are_those_that_botocore_finds(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "files").write_text("[default]\nregion = sa-east-1\n[profile lab]\nregion = eu-north-1\n")
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_CONFIG_FILE": str(tmp_path / "none")}
    if "AWS_PROFILE" in variables:
        keys["AWS_CONFIG_FILE"] = str(tmp_path / "files")
    for name, value in {**keys, **variables}.items():
        monkeypatch.setenv(name, str(tmp_path / value) if value == "files" else value)

    access = resolve_access("mine", None)

    session = botocore.session.Session()
    found = session.get_credentials()
    if found is None:
        assert access.credentials is None
    else:
        expected, given = found.get_frozen_credentials(), access.credentials.get_frozen_credentials()
        assert (given.access_key, given.secret_key, given.token) == expected[:3]
    region = variables.get("AWS_REGION") or session.get_config_variable("region") or "us-east-1"
    assert access.region == region
