import pytest

from dsp_batch.storage.aws import is_public, resolve_access


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
