"""One hardware receiver's link, in a thread of its own: transport <-> protocols.automation."""

from __future__ import annotations

from collections.abc import Callable

from protocols.automation.effects import Content

OnTaken = Callable[[str, tuple[Content, ...], int, bool], None]
"""(port's name, what the frame tells, token, repeat): store it, then call `port.stored(token)`."""
OnState = Callable[[str, bool, str], None]
"""(port's name, up, cause): the receiver is heard, or lost."""


class AutomationPort:
    """`transport`: automation_serial.SerialTransport, automation_tcp.TcpClient or TcpServer.

    `on_taken` and `on_state` are called in the port's thread and must not block for long;
    `stored` may be called from any thread, also inside `on_taken`.
    """

    def start(self) -> None:
        """Open the transport and keep it open, for ever retrying, until `stop`."""
        raise NotImplementedError

    def stored(self, token: int) -> None:
        """The frame `token` is durable: acknowledge it."""
        raise NotImplementedError

    def stop(self) -> None:
        """Close and join."""
        raise NotImplementedError
