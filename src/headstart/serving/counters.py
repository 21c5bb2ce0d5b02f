"""Counters of a server, in the text format of Prometheus."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper ends of the histogram of response times, in seconds."""


@dataclass
class Counters:
    """What a server has done since it started. All of it is counted in one thread, that of the event loop."""

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    """(path, status) -> requests."""
    unreadable: int = 0
    """Images that could not be read, or were too large."""
    seconds: float = 0.0
    """Sum of the response times of `/predict`."""
    slower_than: list[int] = field(default_factory=lambda: [0] * len(BOUNDS))
    """Responses of `/predict` above each bound."""
    timed: int = 0

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count one response."""
        self.requests[path, status] += 1
        if path == "/predict":
            self.timed += 1
            self.seconds += seconds
            for place, bound in enumerate(BOUNDS):
                self.slower_than[place] += seconds > bound

    def text(self, images: int, batches: int, waiting: int) -> str:
        """All counters; those of the batches are given."""
        lines = ["# TYPE headstart_requests_total counter"]
        lines += [
            f'headstart_requests_total{{path="{path}",status="{status}"}} {count}'
            for (path, status), count in sorted(self.requests.items())
        ]
        simple = (
            ("images_total", "counter", images),
            ("batches_total", "counter", batches),
            ("unreadable_images_total", "counter", self.unreadable),
            ("images_waiting", "gauge", waiting),
        )
        for name, kind, value in simple:
            lines += [f"# TYPE headstart_{name} {kind}", f"headstart_{name} {value}"]
        lines.append("# TYPE headstart_predict_seconds histogram")
        lines += [
            f'headstart_predict_seconds_bucket{{le="{bound:g}"}} {self.timed - slower}'
            for bound, slower in zip(BOUNDS, self.slower_than, strict=True)
        ]
        lines += [
            f'headstart_predict_seconds_bucket{{le="+Inf"}} {self.timed}',
            f"headstart_predict_seconds_sum {self.seconds:.6f}",
            f"headstart_predict_seconds_count {self.timed}",
        ]
        return "\n".join(lines) + "\n"
