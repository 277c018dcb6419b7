"""Whether PJSUA2 is on this machine, and what to do where it is not."""

from __future__ import annotations

import importlib.util
from typing import Final

CALLS_AT_MOST: Final = 4
"""PJSUA_MAX_CALLS of the published build: a fifth call is PJ_ETOOMANY, whatever is configured."""

MISSING = """\
PJSUA2 is not installed, so this program can speak no SIP.
没有安装 PJSUA2，本程序无法使用 SIP。
  Where: its package exists for x86-64 Linux with CPython 3.11 (not for a Raspberry Pi).
  适用范围：x86-64 Linux、CPython 3.11（不支持树莓派）。
  Mend:  pip install 'tocsin[sip]' on such a machine, and point the other programs at it; or use
         another way to bring audio: Asterisk's AudioSocket at the centre, a voice modem or an
         analogue adapter at the premises.
  解决：在这样的机器上执行 pip install 'tocsin[sip]'；或者在中心使用 Asterisk 的 AudioSocket，
         在用户端使用语音调制解调器或模拟电话适配器。"""


def available() -> bool:
    """Whether `import pjsua2` would find something."""
    return importlib.util.find_spec("pjsua2") is not None
