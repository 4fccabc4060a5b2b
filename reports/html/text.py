"""Text that is safe to show: values come from the wire, so any of them may be hostile, huge or unprintable."""

import unicodedata

# Control, format (bidi overrides too), surrogate, unassigned and line-breaking characters: they would hide or reorder
# what a reader sees, or XML would refuse them.
_UNSHOWABLE = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})


def plain(text: str) -> str:
    """The text with unprintable characters spelled out, so that it can be neither hidden nor refused by an encoder."""
    if text.isprintable():
        return text
    return "".join(_spelled(c) for c in text)


def _spelled(char: str) -> str:
    if unicodedata.category(char) not in _UNSHOWABLE:
        return char
    return char.encode("unicode_escape").decode("ascii")


def clip(text: str, limit: int) -> str:
    """At most `limit` characters of the text; what was left out is counted in plain sight."""
    if len(text) <= limit:
        return plain(text)
    return f"{plain(text[:limit])}… (+{len(text) - limit:,} characters)"


def seconds(value_s: float) -> str:
    """A duration or instant with the digits a reader can use."""
    if abs(value_s) >= 100:  # noqa: PLR2004 - from here on tenths are noise less a digit, milliseconds are
        return f"{value_s:,.1f} s"
    return f"{value_s:.3f} s" if abs(value_s) < 1 else f"{value_s:.2f} s"


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"
