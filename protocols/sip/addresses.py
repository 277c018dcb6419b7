"""Addresses as a user writes them. Pure."""

from __future__ import annotations

import ipaddress
import re
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
