"""Trainings on many machines, by Dask distributed: `headstart study --cluster`.

local:4              four processes of this machine
tcp://HOST:8786      the workers of a running scheduler (dask scheduler, dask worker)
slurm:FILE, pbs:FILE jobs of a batch system, by dask-jobqueue; FILE is a TOML file of their arguments
"""

from __future__ import annotations

import importlib.metadata
import inspect
import logging
import os
import pickle
import time
import tomllib
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from headstart.errors import HeadstartError, did_you_mean
from headstart.studies.trainings import Training
from headstart.studies.worker import Context, Ended, Event

if TYPE_CHECKING:
    from distributed import Client

CONNECT_SECONDS = 10
"""How long to wait for a scheduler."""
COUNT_INTERVAL = 2.0
"""Seconds between two counts of the workers."""
FORMS = "local:4, tcp://HOST:8786, slurm:FILE or pbs:FILE"
INSTALL = "pip install 'headstart[cluster]'"


class ClusterWorkers:
    """Workers of a Dask cluster, through the executor of its client."""

    def __init__(self, client: Client, cluster: Any = None, threads: int = 1) -> None:
        from distributed import KilledWorker

        self.client, self.cluster, self.threads = client, cluster, threads
        self.lost: tuple[type[BaseException], ...] = (KilledWorker,)
        self.executor: Executor = client.get_executor(pure=False)
        self._key = ""
        self._on_event: Callable[[Event], None] = lambda _: None
        self._events: SimpleQueue[Event] = SimpleQueue()
        """Filled by the client's own thread."""
        self._count, self._counted = 0, -COUNT_INTERVAL

    def begin(self, context: Context, stop: Callable[[], bool], on_event: Callable[[Event], None]) -> None:  # noqa: ARG002
        """Raises HeadstartError for workers that cannot carry out this study."""
        from headstart.studies.dask_worker import StudyPlugin

        _check_workers(self.client, context.study)
        self._key = context.key
        self._on_event = on_event
        self.client.subscribe_topic(context.key, lambda event: self._events.put(tuple(event[1])))
        self.client.register_plugin(StudyPlugin(context.key, pickle.dumps(context)))

    def submit(self, training: Training) -> Future[Ended]:
        from headstart.studies.dask_worker import carry_out

        return self.executor.submit(carry_out, self._key, pickle.dumps(training))

    def count(self) -> int:
        if time.monotonic() - self._counted >= COUNT_INTERVAL:
            self._count, self._counted = len(self.client.nthreads()), time.monotonic()
        return self._count

    def room(self) -> int:
        return 2 * self.count() + 2  # so that no worker waits for the next one

    def poll(self) -> None:
        while not self._events.empty():
            self._on_event(self._events.get())

    def stop(self) -> None:
        from headstart.studies.dask_worker import stop

        self.client.run(stop, self._key, on_error="ignore")

    def close(self) -> None:
        if self._key and self.client.status == "running":
            self.client.unregister_worker_plugin(self._key)
        self.client.close()
        if self.cluster is not None:
            self.cluster.close()


def open_cluster(where: str) -> ClusterWorkers:
    """The workers of ``--cluster``. Raises HeadstartError for another form, a missing package or no scheduler."""
    kind, _, rest = where.partition(":")
    if kind not in ("local", "tcp", "tls", "slurm", "pbs") or not rest.strip("/"):
        raise HeadstartError(f"--cluster: expected {FORMS}, found {where}", "headstart study --help")
    _require("distributed")
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what the user shall know is said by headstart
    if kind == "local":
        return _local(rest)
    if kind in ("tcp", "tls"):
        return _running(where)
    return _batch_system(kind, Path(rest))


def _local(count: str) -> ClusterWorkers:
    import torch
    from distributed import LocalCluster

    if not (count.isascii() and count.isdecimal() and 0 < int(count) < 10_000):
        raise HeadstartError(f"--cluster local: expected a number of workers, found {count}", "--cluster local:2")
    threads = max(1, torch.get_num_threads() // int(count))
    cluster = LocalCluster(
        n_workers=int(count),
        threads_per_worker=1,
        memory_limit=None,
        dashboard_address=None,
        silence_logs=logging.CRITICAL,
    )
    return ClusterWorkers(_connect(cluster), cluster, threads)


def _running(address: str) -> ClusterWorkers:
    try:
        client = _connect(address)
    except (OSError, ValueError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise HeadstartError(
            f"--cluster {address}: expected a scheduler that answers within {CONNECT_SECONDS} s, found none ({text})",
            "dask scheduler, on that machine",
        ) from None
    threads = client.run(os.environ.get, "OMP_NUM_THREADS", "1").values()
    return ClusterWorkers(client, threads=min((int(each) for each in threads if each.isdecimal()), default=1))


def _batch_system(kind: str, file: Path) -> ClusterWorkers:
    _require("dask-jobqueue")
    import dask_jobqueue

    kinds = {"slurm": dask_jobqueue.SLURMCluster, "pbs": dask_jobqueue.PBSCluster}
    options = _read_options(file, kinds[kind])
    jobs, cores = options.pop("jobs"), options.pop("cores")
    # A worker trains one trial at a time, with all cores of its job.
    if kind == "slurm":
        options.setdefault("job_cpu", cores)
    else:
        options.setdefault("resource_spec", f"select=1:ncpus={cores}:mem={options['memory']}")
    try:
        cluster = kinds[kind](cores=1, processes=1, **options)
    except (TypeError, ValueError, OSError, RuntimeError) as error:
        raise HeadstartError(
            f"{file}: expected arguments of dask_jobqueue.{kind.upper()}Cluster, found {str(error).splitlines()[0]}",
            "https://jobqueue.dask.org/en/latest/generated/dask_jobqueue.SLURMCluster.html",
        ) from None
    cluster.adapt(minimum_jobs=jobs, maximum_jobs=jobs)  # replaces the jobs that end
    return ClusterWorkers(_connect(cluster), cluster, cores)


def _read_options(file: Path, kind: Any) -> dict[str, Any]:
    try:
        options = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        text = error.strerror if isinstance(error, OSError) else error
        raise HeadstartError(f"{file}: expected a TOML file, found {text}", "docs/cluster.md shows one") from None
    classes = (kind, *kind.__mro__, *kind.job_cls.__mro__)
    known = {name for each in classes for name in inspect.signature(each.__init__).parameters} | {"jobs"}
    unknown = [name for name in options if name not in known]
    if unknown:
        raise HeadstartError(
            f"{file}: {unknown[0]}: expected an argument of {kind.__name__}, found none of that name",
            did_you_mean(unknown[0], known),
        )
    for name in ("jobs", "cores"):
        value = options.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise HeadstartError(f"{file}: {name}: expected a whole number above 0, found {value}", f"{name} = 4")
    if not isinstance(options.get("memory"), str):
        raise HeadstartError(f"{file}: memory: expected a size, found {options.get('memory')}", 'memory = "16GB"')
    return options


def _connect(where: Any) -> Client:
    from distributed import Client

    return Client(where, timeout=CONNECT_SECONDS, set_as_default=False)


def _require(package: str) -> None:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise HeadstartError(f"--cluster: expected the package {package}, found none", INSTALL) from None


def _check_workers(client: Client, study: Path) -> None:
    """Raise HeadstartError for workers that train several at a time, lack headstart, or do not see the folder."""
    threads = client.nthreads()
    busy = [address for address, count in threads.items() if count > 1]
    if busy:
        raise HeadstartError(
            f"{busy[0]}: expected a worker of one thread, found {threads[busy[0]]} (a training wants a process)",
            f"dask worker SCHEDULER --nworkers {threads[busy[0]]} --nthreads 1",
        )
    here = importlib.metadata.version("headstart")
    for address, found in client.run(importlib.metadata.version, "headstart", on_error="return").items():
        if found != here:
            text = "none" if isinstance(found, BaseException) else found
            raise HeadstartError(f"{address}: expected headstart {here} on this worker, found {text}", INSTALL)
    for address, found in client.run(os.path.isdir, str(study), on_error="return").items():
        if found is not True:
            raise HeadstartError(
                f"{address}: expected the study's folder {study}, found that this worker cannot see it",
                "choose an --out on a disk that every worker sees under the same path",
            )
