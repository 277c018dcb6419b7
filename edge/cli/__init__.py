"""`tocsin-edge`: what installers, users and technicians type on the panel."""
