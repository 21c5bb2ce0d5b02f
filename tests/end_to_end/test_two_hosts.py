"""One training over two hosts: network namespaces, whose machine has to permit them.

More of it, at random moments and by a cut cable: `tests/robustness/two_hosts.py`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from forked import by_two, headstart_by_two
from headstart.recipes import recipe as recipes
from robustness import material
from robustness.compare import differences
from robustness.hosts import Host, launch, two_hosts

pytestmark = pytest.mark.slow

FAILING = """
import sys
from lightning_fabric import Fabric
from pathlib import Path
from headstart.cli.main import _refuse
from headstart.errors import HeadstartError
from headstart.training.peers import ends_explained, watch_peers
from headstart.training.ranks import launch, make_fabric

fabric = make_fabric(2, 1, "32-true")
launch(fabric)
watch_peers(fabric, Path("run"))
try:
    with ends_explained():
        if fabric.global_rank == int(sys.argv[1]):
            raise HeadstartError("photos/1.jpg: expected an image, found a hole", "mend it")
        fabric.barrier()
except HeadstartError as error:
    _refuse(error)
"""


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    try:
        with two_hosts() as both:
            yield both
    except OSError as error:
        pytest.skip(f"network namespaces are not permitted here: {error}")


def test_a_killed_host_ends_the_other_with_one_error_and_they_go_on_to_the_same_files(
    hosts: tuple[Host, Host], tmp_path: Path
) -> None:
    """Those of two processes on one host that nothing interrupted: so two hosts are two processes, to the last bit."""
    data, (base, overrides) = material.labeled(tmp_path / "labeled"), material.RECIPES["classify"]
    recipe = recipes.load(base, overrides | {"train.epochs": 12, "train.batch_size": 6})
    file, whole, run = tmp_path / "small.toml", tmp_path / "whole", tmp_path / "run"
    file.write_text(recipe.to_toml())
    launched = launch(hosts, tmp_path, "fit", file, data, "--out", "run")
    while not (run / "metrics.csv").is_file():
        assert launched.torchruns[0].poll() is None, launched.outputs[0].read_text()
        time.sleep(0.02)
    hosts[1].kill()
    statuses = launched.wait(60)
    said = launched.outputs[0].read_text()
    assert statuses[0] not in (0, None), said
    (error,) = launched.errors(0)
    assert error.startswith("error process 1 on host ")
    assert error.endswith("-m headstart fit --resume run (in as many processes for the same weights, or in fewer)")
    assert not (run / "resume" / "checkpoint.pt.part").exists()
    for words in (("--resume", run), (file, data, "--out", whole)):
        done = headstart_by_two(tmp_path / "ranks", "fit", *words)
        assert done.returncodes == [0, 0], done.output
    assert differences(whole, run) == []


@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_of_one_process_ends_all_of_them_and_stands_there_once(tmp_path: Path, rank: int) -> None:
    done = by_two(tmp_path, FAILING, rank)
    assert done.returncodes == [2, 2], done.output
    lines = [line for line in done.output.splitlines() if line.startswith(("error", "Traceback"))]
    assert lines == ["error photos/1.jpg: expected an image, found a hole. Next: mend it"]


def test_so_does_one_that_all_of_them_make(tmp_path: Path) -> None:
    launch_two = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        "-m",
        "headstart",
    ]
    done = subprocess.run(
        [*launch_two, "fit", "quick", str(tmp_path / "none")], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert str(tmp_path / "none") in line
