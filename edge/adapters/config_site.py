"""Which sites the strict clauses mean: banks and other important ones (R100, R102, R103)."""

from __future__ import annotations

from typing import Final

from edge.adapters.config_problem import Phrase
from edge.adapters.config_shape import Draft

BANKS: Final = ("finance",)


def is_strict(draft: Draft) -> bool:
    """Whether this panel file is such a site's."""
    return draft.fields.get("site_class") in BANKS or draft.fields.get("important") is True


def site_of(draft: Draft) -> Phrase:
    """How a refusal calls it."""
    if draft.fields.get("site_class") in BANKS:
        return Phrase("a finance site", "金融类场所")
    return Phrase("an important site", "重要场所")
