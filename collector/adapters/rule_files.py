"""Where rule files come from: the packaged presets, or a file of the centre's own."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Final

from collector.verification.rules import Rules, RulesRefused, parse_rules

PRESETS: Final = ("bs8243", "shanghai2010")
DEFAULT: Final = "bs8243"


def load_rules(source: str | Path | None = None) -> Rules | RulesRefused:
    """Rules by preset name or file path; None is the default preset."""
    name = str(DEFAULT if source is None else source)
    if name in PRESETS:
        packaged = resources.files("collector.verification") / "presets" / f"{name}.toml"
        return parse_rules(packaged.read_bytes(), f"preset {name}")
    try:
        data = Path(name).read_bytes()
    except OSError as failed:
        reason = failed.strerror or "cannot be read"
        return RulesRefused(name, f"{reason}; a preset is one of {', '.join(PRESETS)}")
    return parse_rules(data, name)


def preset(name: str = DEFAULT) -> Rules:
    """A packaged preset; KeyError for a name that is none."""
    if name not in PRESETS:
        raise KeyError(name)
    rules = load_rules(name)
    if isinstance(rules, RulesRefused):  # pragma: no cover - the package itself is broken
        raise TypeError(str(rules))
    return rules
