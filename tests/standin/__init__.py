"""A local server that speaks the cloud providers' protocols, faults included; shared with the benchmarks."""

from tests.standin.server import KEY, Fault, Seen, Standin

__all__ = ["KEY", "Fault", "Seen", "Standin"]
