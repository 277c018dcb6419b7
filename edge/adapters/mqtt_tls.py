"""TLS towards the broker, and the naming of what goes wrong with it."""

from __future__ import annotations

import select
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from edge.adapters.certificate_dates import not_after
from edge.config import MqttConfig
from edge.reporting.path_causes import LinkCause

VERDICT_MS: Final = 1000


class WatchedSocket(ssl.SSLSocket):
    """Remembers why it failed: the MQTT library reports any loss as just that, and in TLS 1.3 the
    broker's verdict on our certificate arrives only after the handshake, as a failing read.
    """

    fault: ssl.SSLError | OSError | None = None

    def do_handshake(self, block: bool = False) -> None:
        """As in SSLSocket, then wait for the broker's verdict on our certificate.

        In TLS 1.3 the client is done first. Were CONNECT sent at once, a broker that refuses us
        would close upon unread bytes, and the reset would overtake its alert. A broker that takes
        us says so with a session ticket. Brokers speak no MQTT first, so nothing is lost here.
        """
        super().do_handshake(block)
        if self.version() != "TLSv1.3":
            return
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        if self.pending() or poll.poll(VERDICT_MS):
            patience_s = self.gettimeout()
            self.setblocking(False)
            try:
                super().recv(1)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            finally:
                self.settimeout(patience_s)

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """As in SSLSocket."""
        try:
            return super().recv(buflen, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError as error:
            self.fault = error
            raise

    def send(self, data: Any, flags: int = 0) -> int:
        """As in SSLSocket."""
        try:
            return super().send(data, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError as error:
            self.fault = error
            raise


class NamedContext(ssl.SSLContext):
    """A client context that checks `server_name` whatever address was dialled.

    `latest` is the socket made last, so that its owner can close it after a failed handshake.
    """

    server_name: str
    latest: ssl.SSLSocket | None = None
    sslsocket_class = WatchedSocket

    def wrap_socket(
        self,
        sock: socket.socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLSocket:
        """As in SSLContext, under our name of the server."""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.latest = super().wrap_socket(
            sock,
            server_side=server_side,
            do_handshake_on_connect=do_handshake_on_connect,
            suppress_ragged_eofs=suppress_ragged_eofs,
            server_hostname=self.server_name,
            session=session,
        )
        return self.latest


def client_context(config: MqttConfig, base: Path) -> NamedContext:
    """TLS >= 1.2 with our certificate; files are relative to `base`.

    Raises OSError (ssl.SSLError is one) or ValueError when a file is missing or unusable.
    """
    context = NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.server_name = config.server_name or config.host
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cafile=base / config.ca)
    context.load_cert_chain(base / config.cert, base / config.key)
    return context


def days_left(config: MqttConfig, base: Path, now: datetime | None = None) -> float:
    """Days until our own certificate ends; negative: it has ended. Raises OSError, ValueError."""
    end = not_after(base / config.cert)
    return (end - (now or datetime.now(UTC))).total_seconds() / 86_400


# X509_V_ERR_* of OpenSSL's x509_vfy.h
_VERIFY = {
    9: LinkCause.SERVER_CERTIFICATE_EARLY,
    10: LinkCause.SERVER_CERTIFICATE_EXPIRED,
    23: LinkCause.SERVER_CERTIFICATE_REVOKED,
    62: LinkCause.SERVER_NAME_MISMATCH,
    64: LinkCause.SERVER_NAME_MISMATCH,
}

# Alerts of RFC 8446 6.2 as OpenSSL spells them
_ALERTS = {
    "CERTIFICATE_EXPIRED": LinkCause.CERTIFICATE_EXPIRED,
    "CERTIFICATE_REVOKED": LinkCause.CERTIFICATE_REVOKED,
    "UNKNOWN_CA": LinkCause.CERTIFICATE_REFUSED,
    "BAD_CERTIFICATE": LinkCause.CERTIFICATE_REFUSED,
    "CERTIFICATE_UNKNOWN": LinkCause.CERTIFICATE_REFUSED,
    "UNSUPPORTED_CERTIFICATE": LinkCause.CERTIFICATE_REFUSED,
    "CERTIFICATE_REQUIRED": LinkCause.CERTIFICATE_REFUSED,
    "ACCESS_DENIED": LinkCause.CERTIFICATE_REFUSED,
}


def cause_of(error: BaseException) -> LinkCause:
    """The cause behind what connecting or reading raised."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFY.get(error.verify_code, LinkCause.SERVER_CERTIFICATE_UNTRUSTED)
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        for text, cause in _ALERTS.items():
            if "ALERT" in reason and reason.endswith(text):
                return cause
        eof = isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError)
        return LinkCause.CONNECTION_LOST if eof else LinkCause.TLS_FAILURE
    if isinstance(error, socket.gaierror):
        return LinkCause.DNS_FAILURE
    if isinstance(error, ConnectionRefusedError):
        return LinkCause.REFUSED
    if isinstance(error, TimeoutError):
        return LinkCause.TIMED_OUT
    if isinstance(error, ConnectionError):
        return LinkCause.CONNECTION_LOST
    if isinstance(error, UnicodeError):
        # an impossible host name fails in the idna codec before any question is asked
        return LinkCause.DNS_FAILURE
    return LinkCause.UNREACHABLE
