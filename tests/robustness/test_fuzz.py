"""A short, seeded part of `make fuzz`."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest

from headstart.errors import HeadstartError
from robustness.fuzz import fuzz, generator
from robustness.fuzz_targets import all_targets
from robustness.mutate import Target, bytes_of, json_of, text_of

CASES = 25
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the harness forks")


@pytest.mark.parametrize(
    "group", ["texts", "study", "onnx", *(pytest.param(name, marks=pytest.mark.slow) for name in ("images", "weights"))]
)
def test_some_cases_of_every_parser_survive(group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    for folder, target in all_targets(tmp_path, [group]):
        assert fuzz(folder, target, range(CASES)) == []


@pytest.mark.parametrize("mutate", [bytes_of, text_of, json_of])
def test_a_case_is_the_same_whenever_it_is_tried(mutate: object) -> None:
    corpus = [b'{"a": [1, 2, {"b": "c"}]}']
    cases = [[mutate(generator(0, "x", case), corpus) for case in range(50)] for _ in range(2)]  # type: ignore[operator]
    assert cases[0] == cases[1]
    assert len(set(cases[0])) > 25


def test_the_harness_sees_tracebacks_hangs_and_dead_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robustness.fuzz.SECONDS", 0.2)

    def parse(file: Path, draw: random.Random) -> None:
        content = file.read_bytes()
        if content == b"0":
            raise HeadstartError("x", "y")
        if content == b"1":
            raise KeyError
        if content == b"2":
            while True:
                pass
        if content == b"3":
            os.kill(os.getpid(), signal.SIGKILL)

    def count(draw: random.Random, corpus: object) -> bytes:
        return numbers[draw.random()]

    numbers = {generator(0, "p", case).random(): str(case).encode() for case in range(5)}
    target = Target("p", "file", [b"", b""], count, parse)
    kinds = {failure.case: failure.kind for failure in fuzz(tmp_path, target, range(5))}
    assert kinds.keys() == {1, 2, 3}
    assert kinds[1].startswith("KeyError at ")
    assert kinds[2] == "hang"
    assert kinds[3].startswith("process died")
