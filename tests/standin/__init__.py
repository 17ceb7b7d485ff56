"""A local server that speaks the cloud providers' protocols, faults included; shared with the benchmarks."""

from tests.standin.answers import Call
from tests.standin.connection import Seen
from tests.standin.faults import FAULTS, Fault
from tests.standin.lines import WORDS
from tests.standin.server import KEY, Standin

__all__ = ["FAULTS", "KEY", "WORDS", "Call", "Fault", "Seen", "Standin"]
