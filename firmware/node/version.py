"""Version of the node's firmware, as PDID and the node's report tell it. [both runtimes]"""

VERSION = (1, 0, 0)
