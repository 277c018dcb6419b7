"""Addresses and the password file, as a user gives them."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Final

_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


class AddressError(ValueError):
    """What is wrong, where, and what was expected (English and Chinese)."""


def host_and_port(text: str, where: str) -> tuple[str, int]:
    """`HOST:PORT` or `[IPV6]:PORT`. `where`: the option's name, for the message."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise AddressError(
            f"{where} {text!r}: expected HOST:PORT, for example 127.0.0.1:5060.\n"
            f"{where} {text!r}：应为 主机:端口，例如 127.0.0.1:5060。"
        )
    return host, int(port)


def stream_address(text: str, where: str) -> tuple[str, int] | str:
    """`HOST:PORT`, or `unix:PATH` (then the path alone)."""
    if text.startswith("unix:") and len(text) > len("unix:"):
        return text.removeprefix("unix:")
    return host_and_port(text, where)


def sip_host(text: str, where: str) -> str:
    """`host[:port]` of `sip:HOST[:PORT]`; no user, no parameters."""
    rest = text.removeprefix("sip:")
    host, colon, port = rest.partition(":")
    good = rest != text and bool(_HOST.fullmatch(host)) and (not colon or port.isdecimal())
    if not good or (colon and not 0 < int(port) <= 65_535):
        raise AddressError(
            f"{where} {text!r}: expected sip:HOST or sip:HOST:PORT, for example sip:192.0.2.10.\n"
            f"{where} {text!r}：应为 sip:主机 或 sip:主机:端口，例如 sip:192.0.2.10。"
        )
    return rest


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(texts: list[str], where: str) -> tuple[Network, ...]:
    """Networks such as 192.0.2.0/24."""
    try:
        return tuple(ipaddress.ip_network(text) for text in texts)
    except ValueError as error:
        raise AddressError(
            f"{where}: {error}; expected a network such as 192.0.2.0/24 or 192.0.2.10/32.\n"
            f"{where}：应为网段，例如 192.0.2.0/24 或 192.0.2.10/32。"
        ) from None


def within(source: str, allowed: tuple[Network, ...]) -> bool:
    """Whether `source` (IP:PORT, [IPV6]:PORT) lies in one of the networks."""
    host = source.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in allowed)


def password_of(path: Path | None, where: str) -> str:
    """The password in a text file that holds nothing else; empty without a file."""
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise AddressError(
            f"{where} {path}: cannot be read ({error}). Expected: a text file with the"
            f" password alone, readable by this program's user.\n"
            f"{where} {path}：无法读取。应为只含密码的文本文件，且本程序可读。"
        ) from None


def listen_address(text: str, where: str) -> tuple[str, int]:
    """`IPV4:PORT` that callers can be told: no name, not every address at once."""
    host, port = host_and_port(text, where)
    try:
        told = not ipaddress.IPv4Address(host).is_unspecified
    except ValueError:
        told = False
    if not told:
        raise AddressError(
            f"{where} {text!r}: expected one IPv4 address of this machine's, for callers are told"
            f" it (SIP Contact and audio); for example 192.0.2.10:5060.\n"
            f"{where} {text!r}：应为本机的一个 IPv4 地址（该地址会告知主叫方），例如"
            f" 192.0.2.10:5060。"
        )
    return host, port
