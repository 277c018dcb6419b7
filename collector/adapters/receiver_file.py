"""`receiver.toml` read and checked: every problem at once, in two languages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from collector import CollectorError
from collector.adapters.broker_session import BrokerAddress
from collector.adapters.receiver_checks import WORDS, Known, refuse
from collector.adapters.receiver_config import MqttConfig, ReceiverConfig
from protocols.toml_file import shape
from protocols.toml_file.parsing import FILE_BYTES, parse
from protocols.toml_file.problem import ABSENT, ConfigError, Phrase, Report

_AGAIN = Phrase(
    "make the folder with `tocsin-collector receiver add` and copy it beside this file",
    "用 `tocsin-collector receiver add` 生成该目录并复制到本文件旁",
)


class ReceiverConfigError(ConfigError, CollectorError):
    """The file cannot be used; the text tells every problem at once."""


def load(
    path: Path, known: Callable[[bool], Known] = lambda _plugins: Known(), *, files: bool = False
) -> ReceiverConfig:
    """Read and check. `known(plugins)`: which names there are, with plug-ins or without. `files`:
    those that [mqtt] names too. Raises ReceiverConfigError with everything that is wrong.
    """
    report = Report(path.name)
    data = _read(path, report)
    if data is None:
        raise ReceiverConfigError(tuple(report.problems))
    draft = shape.convert(data, ReceiverConfig, report, WORDS)
    refuse(draft, report, known(draft.fields.get("plugins") is True))
    mqtt = draft.fields.get("mqtt")
    if files and isinstance(mqtt, shape.Draft) and mqtt.whole is not None:
        _broker(mqtt.whole, path.parent, report)
    if report.problems or draft.whole is None:
        raise ReceiverConfigError(tuple(report.problems))
    config: ReceiverConfig = draft.whole
    return config


def check_names(config: ReceiverConfig, known: Known) -> None:
    """What a file that was loaded elsewhere names. Raises ReceiverConfigError."""
    report = Report("receiver.toml")
    refuse(shape.convert(msgspec.to_builtins(config), ReceiverConfig, report, WORDS), report, known)
    if report.problems:
        raise ReceiverConfigError(tuple(report.problems))


def broker_of(config: MqttConfig, base: Path) -> BrokerAddress:
    """Where the broker is and how to prove oneself. Raises ReceiverConfigError."""
    report = Report("receiver.toml")
    found = _broker(config, base, report)
    if found is None:
        raise ReceiverConfigError(tuple(report.problems))
    return found


def _read(path: Path, report: Report) -> dict[str, Any] | None:
    try:
        with path.open("rb") as stream:
            raw = stream.read(FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raw, why = b"", str(error)
    else:
        why = "" if len(raw) <= FILE_BYTES else f"more than {FILE_BYTES} bytes"
    if not why:
        return parse(raw, report)
    report.add(
        "",
        str(path),
        Phrase("a readable file of at most 1 MiB", "不超过 1 MiB 的可读文件"),
        Phrase(f"{why}; see receiver.example.toml", f"{why}；参见 receiver.example.toml"),
    )
    return None


def _broker(config: MqttConfig, base: Path, report: Report) -> BrokerAddress | None:
    before = len(report.problems)
    folder = base / config.identity
    found = MqttConfig()
    if config.identity:
        path = folder / "mqtt.toml"
        try:
            table = msgspec.toml.decode(path.read_bytes(), type=dict[str, dict[str, object]])
            found = msgspec.convert(table.get("mqtt", {}), MqttConfig)
        except (OSError, ValueError) as error:
            report.add(
                "mqtt.identity",
                config.identity,
                Phrase(f"a folder with the file {path.name}", f"含有 {path.name} 的目录"),
                Phrase(f"{error}; {_AGAIN.en}", f"{error}；{_AGAIN.zh}"),
            )
            return None
    host, port = config.host or found.host, config.port or found.port
    if not host or not port:
        report.add(
            "mqtt.host",
            host or ABSENT,
            Phrase("the broker's `host` and `port`", "代理服务器的 `host` 与 `port`"),
            Phrase("set `identity`, or both", "填写 `identity`，或同时填写两者"),
        )
    files = [
        (base / own if own else folder / (theirs or name))
        for own, theirs, name in (
            (config.ca, found.ca, "ca.crt"),
            (config.cert, found.cert, "receiver.crt"),
            (config.key, found.key, "receiver.key"),
        )
    ]
    for key, file in zip(("ca", "cert", "key"), files, strict=True):
        if not file.is_file():
            report.add(
                f"mqtt.{key}", str(file), Phrase("a file that is there", "存在的文件"), _AGAIN
            )
    return None if len(report.problems) > before else BrokerAddress(host, port, *files)
