"""Numbers of OSDP v2.2, and what a Tocsin node means by them. [both runtimes]

Frame: [FF] 53 address length(2, LE) control [security block] id data [MAC(4)] CRC16(2, LE) or
checksum(1). The address has bit 7 set in replies; length counts from 53 to the last check byte.
"""

MARK = 0xFF
SOM = 0x53
REPLY_BIT = 0x80
BROADCAST = 0x7F

CONTROL_SEQUENCE = 0x03
CONTROL_CRC = 0x04
CONTROL_SECURE = 0x08

SCS_11 = 0x11
SCS_12 = 0x12
SCS_13 = 0x13
SCS_14 = 0x14
SCS_15 = 0x15
"""Command with MAC, no data; 16 is its reply; 17 and 18 carry encrypted data."""
SCS_16 = 0x16
SCS_17 = 0x17
SCS_18 = 0x18

POLL = 0x60
ID = 0x61
CAP = 0x62
LSTAT = 0x64
ISTAT = 0x65
OSTAT = 0x66
RSTAT = 0x67
OUT = 0x68
LED = 0x69
BUZ = 0x6A
TEXT = 0x6B
COMSET = 0x6E
KEYSET = 0x75
CHLNG = 0x76
SCRYPT = 0x77
ACURXSIZE = 0x7B
FILETRANSFER = 0x7C
MFG = 0x80
ABORT = 0xA2
KEEPACTIVE = 0xA7

ACK = 0x40
NAK = 0x41
PDID = 0x45
PDCAP = 0x46
LSTATR = 0x48
ISTATR = 0x49
OSTATR = 0x4A
RSTATR = 0x4B
RAW = 0x50
KEYPAD = 0x53
COM = 0x54
CCRYPT = 0x76
RMAC_I = 0x78
BUSY = 0x79
FTSTAT = 0x7A
MFGREP = 0x90

NAK_CHECK = 1
NAK_LENGTH = 2
NAK_UNKNOWN_COMMAND = 3
NAK_SEQUENCE = 4
NAK_NO_SECURE_CHANNEL = 5
NAK_SECURITY_CONDITION = 6
NAK_BIO_TYPE = 7
NAK_BIO_FORMAT = 8
NAK_RECORD = 9

DEFAULT_KEY = bytes(range(0x30, 0x40))
"""SCBK-D, known to everyone: for install mode only."""

# Input bytes of ISTATR. 0 and 1 are OSDP's; the rest is Tocsin's device profile (2-255 are free).
INPUT_NORMAL = 0
INPUT_ALARM = 1
INPUT_SHORT = 2
INPUT_OPEN = 3
INPUT_TAMPER = 4
"""A resistance nobody fitted."""
INPUT_MASKED = 5
INPUT_MASKED_ALARM = 6
INPUT_UNKNOWN = 7
"""The node's own converter cannot be read, or it has not measured yet."""

# MFG / MFGREP of Tocsin nodes.
VENDOR = 0x434F54
"""Least significant byte first on the wire: "TOC". No registered OUI; configurable by a maker."""
REPORT_NODE = 1
"""MFGREP: the node's own state, see `node_report`."""
REPORT_OVERFLOW = 2
"""MFGREP: changes were lost since the last one, count(2, LE); current states follow as ISTATR."""
REPORT_UPDATE = 3
"""MFGREP: refused and given-up firmware updates, see `update_report`."""
ASK_REPORT = 1
"""MFG: send a REPORT_NODE."""
ASK_RESTART = 2
"""MFG: restart now."""

KEY_STAR = 0x7F
"""Of KEYPAD replies: "*" is told as DEL, "#" as CR; digits are ASCII."""
KEY_HASH = 0x0D

CAPABILITY_INPUTS = 1
CAPABILITY_OUTPUTS = 2
CAPABILITY_CARD_FORMAT = 3
CAPABILITY_LED = 4
CAPABILITY_AUDIBLE = 5
CAPABILITY_CHECK = 8
CAPABILITY_SECURITY = 9
CAPABILITY_RECEIVE_SIZE = 10
CAPABILITY_READERS = 13
CAPABILITY_VERSION = 16

FILE_OK = 0
"""Of FTSTAT: part taken. Below zero (two's complement in 16 bits): refused."""
FILE_PROCESSED = 1
FILE_WILL_RESET = 2
FILE_BUSY = 3
"""All there, not finished with it: ask again with empty parts."""
FILE_ABORT = -1
FILE_UNRECOGNISED = -2
FILE_MALFORMED = -3
