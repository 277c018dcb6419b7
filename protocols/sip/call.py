"""What both programs' calls have in common: how they are noted, and joined to a Sound."""

from __future__ import annotations

import contextlib
import logging
from typing import Any, Final

import pjsua2 as pj

from protocols.sip.addresses import Network
from protocols.sip.audio_source import admit
from protocols.sip.sound import Sound

_LOG: Final = logging.getLogger(__name__)
NOT_ALLOWED: Final = 405
_HEARD: Final = (pj.PJSUA_CALL_MEDIA_ACTIVE, pj.PJSUA_CALL_MEDIA_REMOTE_HOLD)
"""On hold the far end still may send; what we send it throws away itself."""


class Call(pj.Call):  # type: ignore[misc]
    """One call. Callbacks only note what happened: the program's loop acts on it.

    Audio is heard from the address the far end named in its session description and from the
    networks in `audio_from`, from nobody else. Nobody may transfer or take over a call.
    """

    def __init__(
        self,
        account: Any,
        call_id: int = pj.PJSUA_INVALID_ID,
        audio_from: tuple[Network, ...] = (),
    ) -> None:
        super().__init__(account, call_id)
        self.sound: Sound | None = None
        self.rang = self.confirmed = self.gone = False
        self.code = 0
        self._audio_from = audio_from
        self._audio: Any = None

    def onCallState(self, prm: Any) -> None:  # noqa: N802
        """Progress."""
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_EARLY:
            self.rang = True
        elif info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            self.confirmed = True
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.gone, self.code = True, int(info.lastStatusCode)

    def onCallMediaState(self, prm: Any) -> None:  # noqa: N802
        """Audio came or went: first answer, hold, another codec or address."""
        if self.sound is None or self.gone:
            return
        try:
            info = self.getInfo()  # owns what `media` points at
            for index, media in enumerate(info.media):
                if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status in _HEARD:
                    self._join(index, self.sound)
                    return
        except pj.Error as error:  # one that leaves here ends the process
            _LOG.warning("audio of a call: %s", error.reason)

    def _join(self, index: int, sound: Sound) -> None:
        local = str(self.getMedTransportInfo(index).localRtpName)
        peer = str(self.getStreamInfo(index).remoteRtpAddress)
        if not admit(local, peer, self._audio_from):
            _LOG.warning("audio at %s from %s is not guarded", local, peer)
        self._audio = self.getAudioMedia(index)
        self._audio.startTransmit(sound)
        sound.startTransmit(self._audio)

    def onCallRedirected(self, prm: Any) -> int:  # noqa: N802
        """3xx: calls go where the configuration says and nowhere else; its code is the call's."""
        return int(pj.PJSIP_REDIRECT_REJECT)

    def onCallTransferRequest(self, prm: Any) -> None:  # noqa: N802
        """REFER: the library would call wherever it is told to."""
        prm.statusCode = NOT_ALLOWED

    def onCallReplaceRequest(self, prm: Any) -> None:  # noqa: N802
        """INVITE with Replaces."""
        prm.statusCode = NOT_ALLOWED

    def part(self) -> None:
        """Take the Sound off this call at once: the next call may come before its BYE."""
        sound, self.sound = self.sound, None
        if sound is not None and self._audio is not None and not self.gone:
            with contextlib.suppress(pj.Error):
                self._audio.stopTransmit(sound)
            with contextlib.suppress(pj.Error):
                sound.stopTransmit(self._audio)
        self._audio = None
