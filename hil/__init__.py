"""Hardware-in-the-loop rig: the same scenarios on simulated and on real hardware."""
