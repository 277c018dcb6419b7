"""The one PJSUA endpoint of a process: G.711 only, no silence suppression, a jitter buffer that
keeps its length, and audio by its own clock instead of a sound card.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import pjsua2 as pj

from protocols.sip.availability import CALLS_AT_MOST

_LOG: Final = logging.getLogger(__name__)
CODECS: Final = ("PCMA/8000/1", "PCMU/8000/1")
CLOSING_S: Final = 2.0
NICENESS: Final = -10
"""Asked for where one may: 20 ms of audio cannot wait for what else the machine has to do."""
DISCARD_NONE: Final = 0
"""pjmedia_jb_discard_algo: never shorten what was heard."""


@dataclass(frozen=True, slots=True)
class PhoneSettings:
    """`buffer_ms`: jitter buffer, 20 to 400. `conceal`: let the codec fill in for lost packets.
    `telephone_event`: agree to RFC 4733 when the other side offers it. Port 0: any free one.
    `media_host`: where audio goes in and out, when that is not where SIP does.
    """

    host: str = "127.0.0.1"
    port: int = 0
    calls: int = CALLS_AT_MOST
    buffer_ms: int = 60
    conceal: bool = True
    telephone_event: bool = True
    rtp_port: int = 0
    log_level: int = 1
    media_host: str = ""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Until it is configured the library prints on standard output, which is ours."""
    libc = ctypes.CDLL(None)
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
        libc.fflush(None)
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


class _Log(pj.LogWriter):  # type: ignore[misc]
    """The library's own log, into ours."""

    def write(self, entry: Any) -> None:
        """One line."""
        _LOG.warning("%s", str(entry.msg).rstrip())


class Phone:
    """The endpoint. Callbacks come out of `handle`, in the caller's thread."""

    def __init__(self, settings: PhoneSettings) -> None:
        """Raises pjsua2.Error when the address cannot be had."""
        self.settings = settings
        with contextlib.suppress(PermissionError):  # the library's own threads inherit it
            os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
        self._log = _Log()
        self._endpoint = pj.Endpoint()
        with _quiet():
            self._endpoint.libCreate()
        config = pj.EpConfig()
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.uaConfig.maxCalls = CALLS_AT_MOST
        config.uaConfig.userAgent = "Tocsin"
        config.logConfig.level = settings.log_level
        config.logConfig.consoleLevel = settings.log_level
        config.logConfig.msgLogging = 0
        config.logConfig.writer = self._log
        self._media(config.medConfig)
        self._endpoint.libInit(config)
        transport = pj.TransportConfig()
        transport.port = settings.port
        transport.boundAddress = settings.host
        number = self._endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        self._endpoint.libStart()
        self._endpoint.audDevManager().setNullDev()
        self._codecs()
        self.address: str = self._endpoint.transportGetInfo(number).localName
        """host:port it listens on."""

    def _media(self, media: Any) -> None:
        buffer_ms = self.settings.buffer_ms
        media.clockRate = media.sndClockRate = 8000
        media.audioFramePtime = media.ptime = 20
        media.channelCount = 1
        media.ecTailLen = 0
        media.noVad = True
        media.maxMediaPorts = 4 + 2 * self.settings.calls
        media.sndAutoCloseTime = -1
        media.jbInit = media.jbMinPre = media.jbMaxPre = buffer_ms
        media.jbMax = max(200, 3 * buffer_ms)
        # The enumeration is not wrapped: its setter copies what the pointer points at.
        self._discard = media.jbDiscardAlgo
        ctypes.c_int.from_address(int(self._discard)).value = DISCARD_NONE
        media.jbDiscardAlgo = self._discard

    def _codecs(self) -> None:
        for codec in self._endpoint.codecEnum2():
            wanted = codec.codecId in CODECS
            self._endpoint.codecSetPriority(codec.codecId, 255 if wanted else 0)
        for name in CODECS:
            parameters = self._endpoint.codecGetParam(name)
            parameters.setting.vad = False
            parameters.setting.cng = False
            parameters.setting.plc = self.settings.conceal
            self._endpoint.codecSetParam(name, parameters)

    def account_config(self, uri: str) -> Any:
        """A configuration for an account `uri`, not registered."""
        config = pj.AccountConfig()
        config.idUri = uri
        config.regConfig.registerOnAdd = False
        config.mediaConfig.transportConfig.boundAddress = (
            self.settings.media_host or self.settings.host
        )
        config.mediaConfig.transportConfig.port = self.settings.rtp_port
        if self.settings.rtp_port:
            config.mediaConfig.transportConfig.portRange = 4 * self.settings.calls + 40
        # An answer that names two codecs is no reason for a re-INVITE in the midst of digits.
        config.mediaConfig.lockCodecEnabled = False
        config.callConfig.prackUse = pj.PJSUA_100REL_OPTIONAL
        config.callConfig.timerUse = pj.PJSUA_SIP_TIMER_OPTIONAL
        return config

    @staticmethod
    def register(config: Any, registrar: str, user: str, password: str) -> None:
        """Have the account registered at `registrar` (host[:port]), by digest when there is a
        password.
        """
        config.regConfig.registrarUri = f"sip:{registrar}"
        config.regConfig.registerOnAdd = True
        config.regConfig.timeoutSec = 300
        config.regConfig.retryIntervalSec = 30
        config.regConfig.firstRetryIntervalSec = 2
        if password:
            credentials = pj.AuthCredInfo("digest", "*", user, 0, password)
            config.sipConfig.authCreds.append(credentials)

    def handle(self, milliseconds: int) -> None:
        """Let SIP do its work for so long; callbacks come from here."""
        self._endpoint.libHandleEvents(milliseconds)

    def close(self, done: Callable[[], bool]) -> None:
        """Hang all up and wait (2 s at most) until `done` says that SIP has settled.

        The process must end by os._exit right after this. The library is not taken down: with a
        transaction still open it answers that with an assertion, and there is nothing to save.
        """
        self._endpoint.hangupAllCalls()
        until = time.monotonic() + CLOSING_S
        while not done() and time.monotonic() < until:
            self.handle(20)
