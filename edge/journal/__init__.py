"""PanelEvent -> Record: sequence, epoch, hash chain, what was lost. Pure."""
