"""Case -> Handover: the last check before anybody is told."""

from collector.dispatch.gate import Released, Withheld, release

__all__ = ["Released", "Withheld", "release"]
