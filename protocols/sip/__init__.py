"""SIP and RTP by PJSUA2 (GPL), shared by the two programs that speak SIP and by nothing else.

`edge.sip` holds the panel's lines, `collector.sip` answers at the centre. Both are processes of
their own; the rest of Tocsin talks to them by AudioSocket and never imports this package.
"""
