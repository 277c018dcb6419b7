"""Reads and checks the panel's TOML file. Keys are the field names of `edge.config.PanelConfig`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.adapters import (
    config_bus_checks,
    config_bus_warnings,
    config_checks,
    config_detectors,
    config_phone_checks,
    config_places,
    config_shape,
    config_warnings,
)
from edge.adapters.config_problem import ConfigError, Phrase, Problem, Report
from edge.config import PanelConfig
from protocols.toml_file.parsing import FILE_BYTES, parse

__all__ = ["Checked", "ConfigError", "Problem", "check", "load", "load_checked"]


@dataclass(frozen=True, slots=True)
class Checked:
    """A configuration that may be used, with what is allowed but against a clause."""

    config: PanelConfig
    warnings: tuple[Problem, ...]


def load(path: Path, *, files: bool = True) -> PanelConfig:
    """The checked configuration. Raises ConfigError with every problem, and nothing else."""
    return load_checked(path, files=files).config


def load_checked(path: Path, *, files: bool = True) -> Checked:
    """The same with its warnings. `files` False: do not look for the certificate files."""
    report, warnings = Report(path.name), Report(path.name)
    data = _parse(path, report)
    if data is None:
        raise ConfigError(tuple(report.problems))
    draft = config_shape.convert(data, PanelConfig, report)
    config_checks.refuse(draft, report)
    config_phone_checks.refuse(draft, report)
    config_bus_checks.refuse(draft, report)
    config_detectors.refuse(draft, report)
    if files:
        config_places.refuse(draft, path, report, warnings)
        config_bus_checks.keys(draft, path.parent, warnings)
    if report.problems or draft.whole is None:
        raise ConfigError(tuple(report.problems))
    config: PanelConfig = draft.whole
    config_warnings.warn(config, warnings)
    config_phone_checks.warn(config, warnings)
    config_bus_warnings.warn(config, warnings)
    config_detectors.warn(config, warnings)
    return Checked(config, tuple(warnings.problems))


def check(config: PanelConfig, file: str = "panel.toml") -> Checked:
    """Checks a configuration made elsewhere. Raises ConfigError."""
    import msgspec

    report, warnings = Report(file), Report(file)
    draft = config_shape.convert(msgspec.to_builtins(config), PanelConfig, report)
    config_checks.refuse(draft, report)
    config_phone_checks.refuse(draft, report)
    config_bus_checks.refuse(draft, report)
    config_detectors.refuse(draft, report)
    if report.problems:
        raise ConfigError(tuple(report.problems))
    config_warnings.warn(config, warnings)
    config_phone_checks.warn(config, warnings)
    config_bus_warnings.warn(config, warnings)
    config_detectors.warn(config, warnings)
    return Checked(config, tuple(warnings.problems))


def _parse(path: Path, report: Report) -> dict[str, Any] | None:
    try:
        with path.open("rb") as stream:
            raw = stream.read(FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        report.add(
            "",
            str(path),
            Phrase("a readable file", "可读的文件"),
            Phrase(f"the system says: {error}", f"系统提示：{error}"),
        )
        return None
    if len(raw) > FILE_BYTES:
        report.add(
            "",
            f"more than {FILE_BYTES} bytes",
            Phrase("a panel file of at most 1 MiB", "不超过 1 MiB 的主机配置文件"),
            Phrase("is this the right file?", "请核对是否选错文件"),
        )
        return None
    return parse(raw, report)
