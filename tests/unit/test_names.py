"""File names as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seec.schemas.errors import SectionCorrupt
from seec.schemas.names import escape, is_safe, unescape


@given(st.binary())
def test_any_bytes_come_back(name: bytes):
    text = escape(name)
    text.encode("utf-8")
    assert unescape(text) == name


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\\")))
def test_a_utf8_name_without_backslash_is_its_own_text(name: str):
    assert escape(name.encode()) == name


@pytest.mark.parametrize("text", ["\\", "a\\b", "\\x4", "\\xFF", "\\x41", "\ud800", "\\u00ff"])
def test_texts_that_were_never_written_are_refused(text: str):
    with pytest.raises(SectionCorrupt):
        unescape(text)


@given(st.binary(), st.binary())
def test_different_names_have_different_texts(one: bytes, other: bytes):
    assert (escape(one) == escape(other)) == (one == other)


@pytest.mark.parametrize(
    "name", [b"", b"/etc/passwd", b"../x", b"a/../x", b"a//b", b"a/.", b".", b"..", b"a/", b"a\0b"]
)
def test_names_that_lead_elsewhere_are_not_safe(name: bytes):
    assert not is_safe(name)


@pytest.mark.parametrize("name", [b"a", b"a/b", b"..a", b"a..", b"...", b"-a", b"\xff", b" "])
def test_other_names_are_safe(name: bytes):
    assert is_safe(name)
