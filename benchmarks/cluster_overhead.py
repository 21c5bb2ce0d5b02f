"""What handing out a trial costs on a cluster: python benchmarks/cluster_overhead.py [TRIALS WORKERS SECONDS].

A stub in place of a training sleeps in worker processes of a local Dask cluster, through the schedule that studies use.
Overhead per trial: the time of all, less that of a perfect schedule, over the number of trials. The scheduler runs in
this process, so its memory is what this process gains.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any


def _sleep(seconds: float, _recipe: str) -> tuple[float, bool]:
    """A training that needs no processor; no class of headstart, so that no worker imports torch."""
    import time

    time.sleep(seconds)
    return seconds, True


def memory() -> float:
    """Resident memory of this process, in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    # Imported here: a worker process imports this file, and needs no torch.
    from distributed import Client, LocalCluster

    from headstart.recipes import recipe as recipes
    from headstart.studies.cluster import ClusterWorkers
    from headstart.studies.schedule import Job, Schedule
    from headstart.studies.trainings import Training
    from headstart.studies.worker import Ended

    class StubWorkers(ClusterWorkers):
        def submit(self, training: Training) -> Future[Any]:
            return self.executor.submit(_sleep, seconds, training.recipe.to_toml())

    def jobs(numbers: range) -> list[Job]:
        def finish(ended: Ended) -> None:
            ends.append(ended[0])  # type: ignore[index]

        return [Job(f"{n}", (), partial(Training, recipe, "data", Path(f"trial-{n}")), finish) for n in numbers]

    def run(numbers: range) -> None:
        for _ in Schedule(jobs(numbers), stub, lambda: False).run():
            pass

    trials, workers, seconds = (int(each) for each in (sys.argv[1:] or ("1000", "32", "2")))
    cluster = LocalCluster(n_workers=workers, threads_per_worker=1, memory_limit=None, dashboard_address=None)
    stub = StubWorkers(Client(cluster, set_as_default=False), cluster)
    recipe, ends = recipes.load("quick"), list[float]()
    run(range(-2 * workers, 0))  # every worker has run one
    ends.clear()
    before, began, processor = memory(), time.perf_counter(), time.process_time()
    run(range(trials))
    took, processor = time.perf_counter() - began, time.process_time() - processor
    ideal = -(-trials // workers) * seconds
    gained = memory() - before
    stub.close()
    print(f"{trials} trials of {seconds} s on {workers} worker processes: {took:.1f} s, {ideal:.1f} s at least")
    print(f"overhead {1000 * (took - ideal) / trials:.1f} ms a trial (required: below 50); {len(ends)} ended")
    print(f"study and scheduler, one process: {1000 * processor / trials:.1f} processor ms a trial")
    print(f"their memory: {before:.0f} MiB before, {gained:+.0f} MiB after")


if __name__ == "__main__":
    main()
