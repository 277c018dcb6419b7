"""Why the MQTT path is not up: a closed set, each with its own trouble."""

from __future__ import annotations

from enum import Enum


class LinkCause(Enum):
    """What ended or prevented a connection. Values are stable tokens for `PanelEvent.detail`."""

    NOT_STARTED = "not_started"
    STOPPED = "stopped"
    DNS_FAILURE = "dns_failure"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    CONNECTION_LOST = "connection_lost"
    KEEPALIVE = "keepalive"
    """The broker fell silent: half-open TCP, or a hung broker."""
    NOT_ACKNOWLEDGED = "not_acknowledged"
    """Connected, but the collector acknowledges nothing (users.md D1)."""
    LOGIN_REFUSED = "login_refused"
    """CONNACK refusal. The certificate is the only identity there is, so it is what is refused."""
    SUBSCRIPTION_REFUSED = "subscription_refused"
    PROTOCOL_ERROR = "protocol_error"
    TLS_FAILURE = "tls_failure"
    ADAPTER_FAULT = "adapter_fault"
    """The path's own thread died or hung and was started anew."""
    CERTIFICATE_UNREADABLE = "certificate_unreadable"
    """A certificate, key or CA file is missing, unreadable, or they do not belong together."""
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_EXPIRES = "certificate_expires"
    """A warning only: the panel's own certificate ends in 30 days or less."""
    CERTIFICATE_REVOKED = "certificate_revoked"
    CERTIFICATE_REFUSED = "certificate_refused"
    """The broker does not take the panel's certificate: wrong CA, wrong name, none."""
    SERVER_CERTIFICATE_EXPIRED = "server_certificate_expired"
    SERVER_CERTIFICATE_EARLY = "server_certificate_early"
    """Not valid yet: most likely this panel's clock is wrong."""
    SERVER_CERTIFICATE_UNTRUSTED = "server_certificate_untrusted"
    SERVER_CERTIFICATE_REVOKED = "server_certificate_revoked"
    SERVER_NAME_MISMATCH = "server_name_mismatch"

    @property
    def of_certificate(self) -> bool:
        """True when the panel must raise CERTIFICATE_FAULT: waiting will not mend it."""
        return self in _OF_CERTIFICATE


_OF_CERTIFICATE = frozenset(
    {
        LinkCause.LOGIN_REFUSED,
        LinkCause.CERTIFICATE_UNREADABLE,
        LinkCause.CERTIFICATE_EXPIRED,
        LinkCause.CERTIFICATE_EXPIRES,
        LinkCause.CERTIFICATE_REVOKED,
        LinkCause.CERTIFICATE_REFUSED,
        LinkCause.SERVER_CERTIFICATE_EXPIRED,
        LinkCause.SERVER_CERTIFICATE_EARLY,
        LinkCause.SERVER_CERTIFICATE_UNTRUSTED,
        LinkCause.SERVER_CERTIFICATE_REVOKED,
        LinkCause.SERVER_NAME_MISMATCH,
    }
)
