"""Incoming SIP calls in a process of their own (PJSUA2, GPL): nothing else imports this."""
