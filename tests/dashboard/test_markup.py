"""Values from disk as text."""

from __future__ import annotations

import pytest

from huldra_dashboard.markup import escape, plain, shorten, terminal_text


@pytest.mark.parametrize(
    "text", ["<b>", "*a*", "`c`", "[x](y)", "![x](y)", "$x$", ":red[x]", "a_b", "# h", "a@b.org"]
)
def test_escape_leaves_no_character_with_a_meaning(text: str) -> None:
    """Each character that markdown knows stands behind a backslash."""
    escaped = escape(text)
    rest = "".join(part[1:] for part in escaped.split("\\")[1:])
    assert not set("<*`[!$:_#@") & set(rest)
    assert escaped.replace("\\", "").replace("\u2060", "") == text


def test_escape_keeps_to_one_line() -> None:
    """Line breaks and marks that turn the direction of writing become spaces."""
    assert escape("a\nb\u202ec\x00") == "a b c "


def test_lone_surrogates_do_not_reach_the_browser() -> None:
    """What UTF-8 cannot encode is replaced, so that a page can be sent."""
    plain("a\ud800b").encode()
    terminal_text("a\ud800b").encode()


def test_long_text_is_cut_with_an_ellipsis() -> None:
    """A cut text is as long as the limit and says that it was cut."""
    assert shorten("abcdef", 4) == "abc…"
    assert shorten("abcd", 4) == "abcd"


def test_terminal_text_drops_colours_and_keeps_lines() -> None:
    """Colour codes go, tabs and line breaks stay."""
    assert terminal_text("\x1b[31mred\x1b[0m\tx\r\ny\x07") == "red\tx\ny"


def test_terminal_text_shows_what_a_terminal_would_show_at_the_end() -> None:
    """A progress bar is its last state; a title or a link of a terminal is gone."""
    assert terminal_text("50%\r60%\r100%\nnext\r\n") == "100%\nnext\n"
    assert terminal_text("\x1b]8;;http://x.example\x1b\\text\x1b]8;;\x07") == "text"


def test_addresses_become_no_links() -> None:
    """Markdown would make live links of them by itself, escaped or not."""
    text = escape("see http://192.0.2.1/b.png, www.example.org or a@example.org")
    assert "http\u2060" in text
    assert "www\u2060" in text
    assert "a\u2060" in text
