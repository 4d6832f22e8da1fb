import pytest

from dsp_batch.errors import StorageError
from dsp_batch.storage.backends.http_listing import Entry, Page, parse_listing
from dsp_batch.storage.backends.s3_listing import parse_bucket_page

_APACHE = b"""<html><body><h1>Index of /data/s</h1><table>
<tr><th><a href="?C=N;O=D">Name</a></th><th><a href="?C=M;O=A">Last modified</a></th></tr>
<tr><td><a href="/data/">Parent Directory</a></td></tr>
<tr><td><a href="in%20ner/">in ner/</a></td></tr>
<tr><td><A HREF="very-long-name-of-an-object.dcm">very-long-name-of-a..&gt;</A></td><td>2.1M</td></tr>
<tr><td><a href="/data/s/absolute.dcm">x</a> <a href="http://host/data/s/full.dcm">x</a></td></tr>
<tr><td><a href="http://elsewhere/data/s/other.dcm">x</a><a href="mailto:a@b">x</a><a name="top">x</a></td></tr>
<tr><td><a href="a%26b.dcm">x</a><a href="a%26b.dcm">again</a><a href="p/q.dcm">deeper</a>
<a href="%2e%2e">x</a></td></tr>
</table></body></html>"""


def test_links_that_lead_away_are_not_objects() -> None:
    entries = parse_listing(Page("http://host/data/s/", 200, _APACHE))

    assert entries == [
        Entry("in ner", None, True),
        Entry("very-long-name-of-an-object.dcm", None, False),
        Entry("absolute.dcm", None, False),
        Entry("full.dcm", None, False),
        Entry("a&b.dcm", None, False),
    ]


def test_a_base_element_is_honoured() -> None:
    page = b'<base href="http://host/data/s/"><a href="x.dcm">x</a>'

    assert parse_listing(Page("http://host/data/s/", 200, page)) == [Entry("x.dcm", None, False)]


@pytest.mark.parametrize(
    "page", ['{"error": 1}', '[{"name": 1, "type": "file"}]', '[{"name": {}, "type": "file"}]', "[1]", "[" * 60_000]
)
def test_json_that_is_no_listing_is_an_error(page: str) -> None:
    with pytest.raises(StorageError, match="no directory listing"):
        parse_listing(Page("http://host/s/", 200, page.encode()))


@pytest.mark.parametrize("size", ["-1", "true", "1e400", "null", '"1.2K"', "[]"])
def test_a_size_that_is_no_number_of_bytes_is_unknown(size: str) -> None:
    page = f'[{{"name": "a", "type": "file", "size": {size}}}]'

    assert parse_listing(Page("http://host/s/", 200, page.encode())) == [Entry("a", None, False)]


def test_a_bucket_page_with_a_negative_size_is_no_listing() -> None:
    page = b"<ListBucketResult><Contents><Key>s/x</Key><Size>%s</Size></Contents></ListBucketResult>"

    assert parse_bucket_page(page % b"5") is not None
    assert parse_bucket_page(page % b"-5") is None
