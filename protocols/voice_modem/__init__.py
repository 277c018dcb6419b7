"""What a voice modem says and is told: V.253 / IS-101 (`AT+FCLASS=8`), what a phone line needs.

Panel, centre and the rig's played modem share these rooms: `samples` (how audio is written),
`stream` (<DLE> shielding), `answers` (words), `dialogue` (bytes to answers and streams),
`bringing_up` (from unknown state to voice mode, asking what it can do).

Command sets differ by chip; what differs is asked for or tried, never taken for granted. Public
command manuals agree on this much (CX930xx and older Rockwell, USR 5637, Silicon Labs AN93, ZyXEL):

| matter | differs |
|---|---|
| `+VSM=?` | labels; `,` or `;`; with bits and timing, or `label,"name",(rates)` only (USR) |
| "8-BIT LINEAR" | two's complement or offset binary: heard from the line at rest |
| `+VSM=` | with rate, with four values, or the label alone |
| `+VTR=?`, `+VTX=?` | ERROR where the command itself works (CX93001): so the command is tried |
| `+VTS` | `{digit,d}` not everywhere; all three of `[f1,f2,d]` must stand (AN93) |
| end of +VRX | <DLE>!, <DLE><ESC>, or any character; OK or VCON |
| end of +VTX | <DLE><ETX> and OK, OK, or VCON |
| rings in voice mode | RING, or <DLE>R; caller id as lines, or within <DLE>X ... <DLE>. |
| silence detector off | `+VSD=128,0` or `+VSD=0,0` |
| lifting | `+VLS=1`, `H1`, and `A` where it rings |
| voltage | `-TRV` on CX930xx only |
| no line, in use, refused | NO LINE, LINE IN USE, DELAYED, BLACKLISTED besides V.250's words |
"""
