"""A redirect is an answer like any other: it is never followed, so where it leads is not even read."""

import pytest

from tests.http.test_slow_answers import an_api, serving


@pytest.mark.parametrize("place", [b"/elsewhere", b"http://[", b"\xff\xfe", b"http://"])
def test_a_redirect_is_read_as_any_answer(place: bytes):
    """Wherever it leads: an error of another kind would leave open how the write ended."""
    answer = b"HTTP/1.1 302 Found\r\nLocation: " + place + b"\r\nContent-Length: 2\r\n\r\n{}"
    with serving(answer, b"", 0.0, most=0) as url:
        received = an_api(url, 5.0).request("POST", "/a", what="Creating", operation="create")

    assert (received.status, received.body) == (302, b"{}")
