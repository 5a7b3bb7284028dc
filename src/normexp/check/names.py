"""What the person wrote for a rule: a code, the beginning of one, or a name."""

from __future__ import annotations

from collections.abc import Iterable

from normexp.check.rule import Rule
from normexp.check.rules import RULES


def rules_of(words: Iterable[str]) -> frozenset[str]:
    """Return the codes of the rules that are meant; `words` may hold several each, by commas.

    Raises
    ------
    ValueError
        Naming the word that means none, and one that is like it.
    """
    codes: set[str] = set()
    for word in (part.strip() for text in words for part in text.split(",")):
        if word:
            found = [rule.code for rule in RULES if rule.name == word.lower() or rule.code.startswith(word.upper())]
            if not found:
                raise ValueError(f"unknown rule {word!r}{did_you_mean(word, spellings())}")
            codes.update(found)
    return frozenset(codes)


def rule_of(word: str) -> Rule:
    """Return the one rule of this code or name; raise as `rules_of` does."""
    for rule in RULES:
        if word.strip().lower() in (rule.name, rule.code.lower()):
            return rule
    raise ValueError(f"unknown rule {word!r}{did_you_mean(word, spellings())}")


def spellings() -> list[str]:
    """Return every code and name."""
    return [rule.code for rule in RULES] + [rule.name for rule in RULES]


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return a suggestion in brackets, or nothing."""
    from difflib import get_close_matches  # here, because most often nothing is misspelt

    by_lower = {one.lower(): one for one in words}
    close = get_close_matches(word.lower(), by_lower, n=1)
    return f" (did you mean {by_lower[close[0]]!r}?)" if close else ""
