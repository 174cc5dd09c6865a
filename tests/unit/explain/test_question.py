"""Requests as operators write them."""

from typing import Any

import pytest

from gateway.explain.question import Question, head_bytes, question_of, read_field

PUBLIC = "https://app.example.com"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("/x?a=b", ("https", "app.example.com", "/x?a=b"), id="path"),
        pytest.param("*", ("https", "app.example.com", "*"), id="asterisk"),
        pytest.param("HTTP://a:8080", ("http", "a:8080", "/"), id="no-path"),
        pytest.param("https://a/%2e%2e//x", ("https", "a", "/%2e%2e//x"), id="as-written"),
        pytest.param("https://a?x", ("https", "a", "?x"), id="query-alone"),
    ],
)
def test_a_url_is_split_and_not_normalised(url: str, expected: tuple[str, str, str]) -> None:
    """What the gateway makes of it is the question."""
    assert expected == Question("GET", url).place(PUBLIC)


def test_the_head_has_one_host() -> None:
    """That of the URL, unless a field names another."""
    assert b"GET /x HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n" == head_bytes(
        Question("GET", "http://a/x", (("X", "y"),)), PUBLIC
    )
    assert b"GET /x HTTP/1.1\r\nhOST: b\r\n\r\n" == head_bytes(
        Question("GET", "http://a/x", (("hOST", "b"),)), PUBLIC
    )


@pytest.mark.parametrize(
    "question",
    [
        pytest.param(Question("GET", "x"), id="no-url"),
        pytest.param(Question("GET", "/x\r\nHost: b"), id="url-of-two-lines"),
        pytest.param(Question("GET\n", "/x"), id="method-of-two-lines"),
        pytest.param(Question("GET", "/x", (("A", "b\0"),)), id="nul"),
    ],
)
def test_what_is_no_question_is_refused(question: Question) -> None:
    """A question is one request, not two."""
    with pytest.raises(ValueError, match=r"line break|URL"):
        head_bytes(question, PUBLIC)


def test_fields_are_read_as_curl_takes_them() -> None:
    """White space around the value is no part of it."""
    assert ("Accept", "text/html") == read_field("Accept:\t text/html ")
    assert ("X", "a: b") == read_field("X: a: b")
    for text in ("Accept", ": x"):
        with pytest.raises(ValueError, match="NAME: VALUE"):
            read_field(text)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        pytest.param({"url": "/"}, Question("GET", "/"), id="least"),
        pytest.param(
            {"method": "POST", "url": "/", "headers": {"A": "b"}, "peer": "10.0.0.1", "as": "x"},
            Question("POST", "/", (("A", "b"),), "10.0.0.1", "x"),
            id="all",
        ),
        pytest.param(
            {"url": "/", "headers": ["A: b", "A: c"]},
            Question("GET", "/", (("A", "b"), ("A", "c"))),
            id="repeated",
        ),
    ],
)
def test_questions_are_read_from_json(document: object, expected: Question) -> None:
    """All but the URL have a default."""
    assert expected == question_of(document)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        pytest.param([], "expected an object", id="list"),
        pytest.param({"url": "/", "body": ""}, "expected an object", id="unknown"),
        pytest.param({}, "url: expected a text", id="no-url"),
        pytest.param({"url": "/", "peer": 5}, "peer: expected a text", id="no-text"),
        pytest.param({"url": "/", "headers": {"a": 1}}, "headers: expected", id="no-texts"),
        pytest.param({"url": "/", "headers": [1]}, "headers: expected", id="no-lines"),
        pytest.param({"url": "/", "headers": "a: b"}, "headers: expected", id="one-line"),
    ],
)
def test_a_document_that_is_no_question_is_refused(document: Any, message: str) -> None:
    """The message says what was expected."""
    with pytest.raises(ValueError, match=message):
        question_of(document)
