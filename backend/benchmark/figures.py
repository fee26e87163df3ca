"""What was measured, and what is told of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from backend.benchmark.machine import Machine, Memory


@dataclass(frozen=True, slots=True)
class Wait:
    """Waits for a mask, in seconds. size: a name of SIZES. kind: cold, warm or opened. peer: empty where not asked."""

    size: str
    kind: str
    backend: tuple[float, ...]
    peer: tuple[float, ...]

    @property
    def backend_ms(self) -> float:
        """The median."""
        return 1000 * median(self.backend)

    @property
    def peer_ms(self) -> float | None:
        """The median, or None."""
        return 1000 * median(self.peer) if self.peer else None

    @property
    def times_faster(self) -> float | None:
        """Ratio of the medians, above 1 where the backend is the faster one, or None."""
        return self.peer_ms / self.backend_ms if self.peer_ms is not None else None


@dataclass(frozen=True, slots=True)
class Crowd:
    """Warm waits of several annotators at once, in seconds; elapsed: from the first click to the last answer."""

    annotators: int
    waits: tuple[float, ...]
    elapsed: float

    @property
    def p50_ms(self) -> float:
        """What half of the clicks wait at most."""
        return 1000 * median(self.waits)

    @property
    def p95_ms(self) -> float:
        """What 95 % of the clicks wait at most."""
        return 1000 * sorted(self.waits)[int(0.95 * (len(self.waits) - 1))]

    @property
    def slowest_ms(self) -> float:
        """What nobody waits longer for."""
        return 1000 * max(self.waits)

    @property
    def clicks_per_second(self) -> float:
        """Of all annotators together."""
        return len(self.waits) / self.elapsed


@dataclass(frozen=True)
class Report:
    """A benchmark.

    version, engine: what the backend's /ready told. peer: what it is, or None. starts: seconds to the first /ready
    with warm caches, and memory: both only where the service was started here.
    """

    machine: Machine
    version: str
    engine: str
    peer: str | None
    rounds: int
    waits: tuple[Wait, ...]
    crowds: tuple[Crowd, ...]
    starts: tuple[float, ...] = ()
    memory: Memory | None = None

    def as_json(self) -> dict[str, Any]:
        """Medians and ratios first; every single wait in seconds at the end."""
        return {
            "machine": asdict(self.machine),
            "backend": {"version": self.version, "engine": self.engine},
            "peer": self.peer,
            "rounds": self.rounds,
            "waits": {
                f"{wait.size} {wait.kind}": {
                    "backend_ms": wait.backend_ms,
                    "peer_ms": wait.peer_ms,
                    "times_faster": wait.times_faster,
                }
                for wait in self.waits
            },
            "annotators": {
                crowd.annotators: {
                    "p50_ms": crowd.p50_ms,
                    "p95_ms": crowd.p95_ms,
                    "slowest_ms": crowd.slowest_ms,
                    "clicks_per_second": crowd.clicks_per_second,
                }
                for crowd in self.crowds
            },
            "start_s": median(self.starts) if self.starts else None,
            "resident_mib": self.memory and self.memory.resident,
            "peak_mib": self.memory and self.memory.peak,
            "seconds": {
                "waits": [asdict(wait) for wait in self.waits],
                "annotators": [asdict(crowd) for crowd in self.crowds],
                "starts": self.starts,
            },
        }
