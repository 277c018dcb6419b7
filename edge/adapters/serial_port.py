"""A detector bus's serial port: by its stable path, exclusive, raw, non-blocking."""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import os
import select
import termios
import time
import tty
from typing import Final

CHARACTER_BITS: Final = 10
"""8N1; parity adds one."""
_LOW_LATENCY: Final = 1 << 13
_TIOCGSERIAL: Final = 0x541E
_TIOCSSERIAL: Final = 0x541F
_FLAGS_WORD: Final = 4
"""Place of `flags` in struct serial_struct, in words."""


class PortGoneError(OSError):
    """The port cannot be opened or is gone; the text is the system's."""


def _why(error: OSError | termios.error) -> str:
    if error.args and isinstance(error.args[0], int):
        return os.strerror(error.args[0])
    return str(error)


class SerialPort:
    """The open port. Every method raises PortGoneError when it is gone (users.md J3)."""

    def __init__(self, path: str, baud: int, parity: str = "N") -> None:
        self.character_s = (CHARACTER_BITS + (parity != "N")) / baud
        speed = getattr(termios, f"B{baud}", None)
        if speed is None:
            raise PortGoneError(errno.EINVAL, f"no such speed: {baud}")
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise PortGoneError(error.errno, _why(error)) from error
        try:
            self._prepare(speed, parity)
        except (OSError, termios.error) as error:
            os.close(self._fd)
            busy = isinstance(error, BlockingIOError)
            why = "in use by another program" if busy else _why(error)
            raise PortGoneError(error.args[0], why) from error
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def _prepare(self, speed: int, parity: str) -> None:
        # The lock keeps out programs that ask, TIOCEXCL those that do not: a second opener would
        # steal half the replies.
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.ioctl(self._fd, termios.TIOCEXCL)
        tty.setraw(self._fd, termios.TCSANOW)
        attributes = termios.tcgetattr(self._fd)
        cflag = attributes[2] & ~(termios.CSTOPB | termios.PARENB | termios.PARODD)
        cflag &= ~getattr(termios, "CRTSCTS", 0)
        cflag |= termios.CLOCAL | termios.CREAD
        if parity != "N":
            cflag |= termios.PARENB | (termios.PARODD if parity == "O" else 0)
        attributes[2] = cflag
        attributes[4] = attributes[5] = speed
        termios.tcsetattr(self._fd, termios.TCSANOW, attributes)
        termios.tcflush(self._fd, termios.TCIOFLUSH)
        # USB adapters batch what they receive for 16 ms unless asked not to.
        with contextlib.suppress(OSError):
            settings = array.array("i", [0] * 32)
            fcntl.ioctl(self._fd, _TIOCGSERIAL, settings)
            settings[_FLAGS_WORD] |= _LOW_LATENCY
            fcntl.ioctl(self._fd, _TIOCSSERIAL, settings)

    def fileno(self) -> int:
        """For poll()."""
        return self._fd

    def close(self) -> None:
        """Let go of it."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._fd, termios.TIOCNXCL)
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = -1

    def write(self, data: bytes, within_s: float = 1.0) -> None:
        """All of it, blocking at most `within_s`; a port that takes nothing is gone."""
        ends = time.monotonic() + within_s
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                left = ends - time.monotonic()
                if left <= 0:
                    raise PortGoneError(errno.EIO, "takes no data") from None
                select.select([], [self._fd], [], left)
            except OSError as error:
                raise PortGoneError(error.errno, _why(error)) from error

    def read(self) -> bytes:
        """What has come, without blocking; b"" nothing."""
        try:
            data = os.read(self._fd, 4096)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise PortGoneError(error.errno, _why(error)) from error
        if not data:
            raise PortGoneError(errno.EIO, "unplugged")
        return data

    def wait(self, timeout_s: float) -> bool:
        """Until there is something to read, at most so long."""
        ready = self._poll.poll(max(0.0, timeout_s * 1000))
        if ready and not any(flags & select.POLLIN for _, flags in ready):
            raise PortGoneError(errno.EIO, "unplugged")
        return bool(ready)
