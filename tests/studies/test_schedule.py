"""Jobs of a study on workers: their order, what fails with them, killed workers, the time that is left."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from pathlib import Path

import pytest

import headstart as hs
from headstart.console.study_progress import time_left_text
from headstart.recipes import recipe as recipes
from headstart.studies.cluster import open_cluster
from headstart.studies.schedule import MAX_DEATHS, Job, Schedule
from headstart.studies.time_left import TimeLeft
from headstart.studies.trainings import StoppedError, Training
from headstart.studies.worker import Context, Ended, Event, Stop
from headstart.studies.workers import open_workers


class FakeWorkers:
    """Workers that end a training when a test says so, or at once by ``outcome``."""

    lost: tuple[type[BaseException], ...] = (BrokenExecutor,)
    threads = 1

    def __init__(self, places: int, outcome: Callable[[Training], Ended] | None = None) -> None:
        self.places, self.outcome = places, outcome
        self.under_way: dict[str, Future[Ended]] = {}
        self.submitted: list[Training] = []
        self.most = 0

    def begin(self, context: Context, stop: Stop, on_event: Callable[[Event], None]) -> None: ...

    def submit(self, training: Training) -> Future[Ended]:
        future: Future[Ended] = Future()
        self.submitted.append(training)
        self.under_way[training.name] = future
        self.most = max(self.most, len(self.under_way))
        if self.outcome is not None:
            self.end(training)
        return future

    def end(self, training: Training) -> None:
        future = self.under_way.pop(training.name)
        try:
            assert self.outcome is not None
            future.set_result(self.outcome(training))
        except Exception as error:
            future.set_exception(error)

    def count(self) -> int:
        return self.places

    def room(self) -> int:
        return self.places

    def poll(self) -> None:
        """In place of time that passes: the trainings under way end, the last begun first."""
        if self.outcome is None:
            for name in list(self.under_way)[::-1]:
                self.under_way.pop(name).set_result(Ended(1.0, True))

    def stop(self) -> None:
        for future in self.under_way.values():
            future.set_exception(StoppedError("saved"))

    def close(self) -> None: ...


QUICK = recipes.load("quick")


def job(name: str, *needs: str, finish: Callable[[Ended], None] = lambda _: None) -> Job:
    training = Training(recipes.override(QUICK, {"name": name}), "data", Path(name))
    return Job(name, needs, lambda: training, finish)


GRID = [
    job("weights"),
    job("lr1", "weights"),
    job("lr2", "weights"),
    job("C1", "weights", "lr1", "lr2"),
    job("G1"),
    job("G2"),
]


def never() -> bool:
    return False


def test_each_job_runs_once_after_what_it_needs_and_as_many_at_a_time_as_there_are_workers() -> None:
    workers = FakeWorkers(2)
    ended = [each.name for each, error in Schedule(GRID, workers, never).run() if error is None]
    assert sorted(ended) == sorted(each.name for each in GRID)
    assert workers.most == 2
    begun = [training.name for training in workers.submitted]
    assert begun[:2] == ["weights", "G1"], "what waits does not keep a worker idle"
    assert begun.index("C1") > max(ended.index("lr1"), ended.index("lr2"))


def test_in_one_process_the_order_is_that_of_the_list() -> None:
    workers = FakeWorkers(1, lambda _: Ended(1.0, True))
    assert [each.name for each, _ in Schedule(GRID, workers, never).run()] == [each.name for each in GRID]


def test_what_needs_a_failed_job_fails_with_its_error_and_the_others_run() -> None:
    def outcome(training: Training) -> Ended:
        if training.name == "lr2":
            raise ValueError("nan")
        return Ended(1.0, True)

    ended = {each.name: error for each, error in Schedule(GRID, FakeWorkers(2, outcome), never).run()}
    assert [name for name, error in ended.items() if error is not None] == ["lr2", "C1"]
    assert str(ended["C1"]) == "nan"
    assert len(ended) == len(GRID)


@pytest.mark.parametrize(("deaths", "fails"), [(MAX_DEATHS - 1, False), (MAX_DEATHS, True)])
def test_a_training_whose_worker_is_killed_goes_on_in_another_until_it_looks_like_the_reason(
    deaths: int, fails: bool
) -> None:
    left = [deaths]

    def outcome(training: Training) -> Ended:
        if training.name == "G1" and left[0]:
            left[0] -= 1
            raise BrokenExecutor
        return Ended(1.0, True)

    workers = FakeWorkers(2, outcome)
    ended = {each.name: error for each, error in Schedule(GRID, workers, never).run()}
    assert len(ended) == len(GRID)
    assert (ended["G1"] is not None) == fails
    if fails:
        assert "killed 4 times" in str(ended["G1"])
        assert [name for name, error in ended.items() if error is not None] == ["G1"]


def test_a_finished_run_that_cannot_be_read_is_trained_again_once() -> None:
    tries: list[bool] = []

    def finish(ended: Ended) -> None:
        tries.append(ended.trained)
        if len(tries) == 1:
            raise KeyError("predictions")

    workers = FakeWorkers(1, lambda training: Ended(0.0, bool(training.anew)))
    (end,) = Schedule([job("A1", finish=finish)], workers, never).run()
    assert end[1] is None
    assert tries == [False, True]
    assert "predictions" in workers.submitted[1].anew

    def broken(_: Ended) -> None:
        raise KeyError("still")

    workers = FakeWorkers(1, lambda training: Ended(0.0, bool(training.anew)))
    (end,) = Schedule([job("A1", finish=broken)], workers, never).run()
    assert isinstance(end[1], KeyError)
    assert len(workers.submitted) == 2


def test_a_request_to_stop_has_every_training_saved_and_begins_none() -> None:
    workers = FakeWorkers(2)
    ended: list[str] = []
    schedule = Schedule(GRID, workers, lambda: bool(ended))
    with pytest.raises(KeyboardInterrupt):
        for each, _ in schedule.run():
            ended.append(each.name)
    assert len(ended) == 2
    assert len(workers.submitted) == 2


def test_the_time_left_knows_the_pace_and_the_workers() -> None:
    clock = [0.0]
    left = TimeLeft(dict.fromkeys("abcd", 100.0), now=lambda: clock[0])
    assert left.seconds(1) == pytest.approx(400)
    assert left.seconds(4) == pytest.approx(100)
    assert left.seconds(9) == pytest.approx(100), "more workers than trainings are of no use"
    assert left.seconds(0) is None
    assert time_left_text(left, 0) == "waiting for workers"
    clock[0] = 200.0  # two workers, half as fast as estimated
    left.advance("a", 1.0, 2)
    left.advance("b", 1.0, 2)
    seconds = left.seconds(2)
    assert seconds is not None
    assert 180 <= seconds <= 200
    left.advance("c", 1.0, 2)
    left.advance("d", 0.5, 2)
    left.advance("d", 0.9, 2)  # a training that begins again at its checkpoint
    assert left.seconds(2) == 0
    assert left.count == 0


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("four", "--cluster: expected local:4, tcp://HOST:8786, slurm:FILE or pbs:FILE, found four"),
        ("tcp://", "found tcp://"),
        ("local:many", "--cluster local: expected a number of workers, found many"),
        ("local:0", "expected a number of workers, found 0"),
        ("slurm:none.toml", "none.toml: expected a TOML file, found No such file"),
        ("slurm:cut.toml", "cut.toml: expected a TOML file, found "),
        ("slurm:jobs.toml", "jobs.toml: jobs: expected a whole number above 0, found many"),
        ("pbs:memory.toml", "memory.toml: memory: expected a size, found None"),
        ("slurm:typo.toml", "typo.toml: cuores: expected an argument of SLURMCluster, found none"),
    ],
)
def test_what_is_no_cluster_is_refused_in_one_line(
    where: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("dask_jobqueue")
    monkeypatch.chdir(tmp_path)
    whole = 'jobs = 1\ncores = 1\nmemory = "1GB"\n'
    for name, text in (
        ("cut", "jobs = "), ("jobs", 'jobs = "many"'), ("memory", "jobs = 1\ncores = 1"), ("typo", whole + "cuores = 4")
    ):  # fmt: skip
        Path(f"{name}.toml").write_text(text, encoding="utf-8")
    with pytest.raises(hs.HeadstartError) as caught:
        open_cluster(where)
    assert expected in caught.value.message
    assert "\n" not in str(caught.value)


def test_a_cluster_needs_its_packages_and_no_jobs_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    def missing(package: str) -> str:
        raise metadata.PackageNotFoundError(package)

    with pytest.raises(hs.HeadstartError, match="--jobs: expected none beside --cluster, found 2"):
        open_workers(2, "local:2")
    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(hs.HeadstartError, match="expected the package distributed, found none") as caught:
        open_workers(1, "local:2")
    assert caught.value.hint == "pip install 'headstart[cluster]'"


def test_errors_travel_from_a_worker_to_the_study() -> None:
    import pickle

    error = hs.HeadstartError("a: expected b, found c", "d")
    again = pickle.loads(pickle.dumps(error))
    assert (again.message, again.hint, str(again)) == (error.message, error.hint, str(error))
