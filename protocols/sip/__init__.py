"""SIP and RTP by PJSUA2 (GPL), shared by the two programs that speak SIP and by nothing else.

The one room of `protocols` that does I/O: it stands here because edge and collector meet nowhere
else; import-linter holds that nothing but those two programs enters it.

`edge.sip` holds the panel's lines, `collector.sip` answers at the centre. Both are processes of
their own; the rest of Tocsin talks to them by AudioSocket and never imports this package.
"""
