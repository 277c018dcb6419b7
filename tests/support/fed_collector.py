"""A process that runs a Collector fed over its standard input, to be killed at any moment.

In: one line a message, `<topic> <payload as base64>`. Out: one line for each publish,
`<panel> <leaf> <payload as base64>`, written at once and unbuffered.
"""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path

from collector.adapters.rule_files import preset
from collector.app import Collector
from collector.config import CollectorConfig, LimitsConfig
from tests.support.collector_rig import Everyone


class PipeLink:
    """Writes what is published to standard output."""

    up = True

    def flush(self) -> None:
        """Everything has left."""

    def publish(self, panel: str, leaf: str, payload: bytes) -> bool:
        os.write(1, f"{panel} {leaf} ".encode() + base64.b64encode(payload) + b"\n")
        return True


def main(folder: str) -> None:
    """Run until standard input ends."""
    limits = LimitsConfig(batch_messages=7, stage_signals=3)
    config = CollectorConfig(data_dir=Path(folder), limits=limits)
    collector = Collector(config, Everyone(), PipeLink(), preset())
    collector.start()
    for line in sys.stdin.buffer:
        topic, _, payload = line.strip().partition(b" ")
        collector.offer(topic.decode(), base64.b64decode(payload))
    collector.stop()


if __name__ == "__main__":
    main(sys.argv[1])
