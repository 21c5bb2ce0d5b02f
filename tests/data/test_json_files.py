"""JSON that would take more memory than there is, is refused before it is parsed; the oracle is tracemalloc."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from command import refused
from headstart import file_memory
from headstart.data.json_files import read_json
from headstart.errors import HeadstartError
from headstart.file_memory import TooLargeError, memory_of_json
from robustness.material import photographs

COUNT = 20_000
PARTS = [
    "[]",
    "{}",
    "1000",
    "1",
    "1.5",
    '"ab"',
    '{"a":0}',
    '{"a":{"b":[0]}}',
    "[[1.25,2.5,3.75]]",
    '"\U0001f600"',
    "null",
]
CONTENTS = {part: f"[{','.join([part] * COUNT)}]" for part in PARTS} | {
    "keys": "{" + ",".join(f'"{number:x}":0' for number in range(COUNT)) + "}",
    "one wide character": f'["\U0001f600{"a" * 10 * COUNT}"]',
    "one escape": f'["\\ud83d\\ude00{"a" * 10 * COUNT}"]',
    "spaces": f"[{' ' * 10 * COUNT}]",
}


@pytest.mark.parametrize("name", CONTENTS)
def test_what_it_takes_is_not_underestimated_nor_by_far_too_much(name: str, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(CONTENTS[name], encoding="utf-8")
    tracemalloc.start()
    try:
        content = read_json(file)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert content == json.loads(CONTENTS[name])
    assert 0.98 * peak < memory_of_json(file) + file_memory.CHUNK
    assert memory_of_json(file) < 5 * peak


def test_no_json_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    for content in (b"{", b"\xff\xfe\xe9", b"[" * 100_000):
        file.write_bytes(content)
        with pytest.raises(HeadstartError, match=r"x\.json: expected JSON, found"):
            read_json(file)
    with pytest.raises(HeadstartError, match=r"none\.json: expected JSON, found"):
        read_json(tmp_path / "none.json")


def coco(folder: Path, annotations: bytes) -> Path:
    """Photographs, and COCO JSON that lists them with these annotations."""
    folder.mkdir()
    for number, image in enumerate(photographs(4, "coffee.png")):
        image.save(folder / f"{number}.png")
    listed = [{"id": n, "file_name": f"{n}.png", "height": 32, "width": 32} for n in range(4)]
    head = json.dumps({"images": listed, "categories": [{"id": 1, "name": "cup"}]}).encode()
    (folder / "instances.json").write_bytes(head[:-1] + b', "annotations": [' + annotations + b"]}")
    return folder


def test_annotations_that_take_too_much_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_memory, "ALWAYS", 0)
    monkeypatch.setattr(file_memory, "available_memory", lambda: 10_000)
    polygon = b'{"image_id": 0, "category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9]]}'
    folder = coco(tmp_path / "coco", b",".join([polygon] * 50))
    line = refused("check", folder)
    assert "instances.json: expected JSON that takes at most" in line
    assert "split it by images" in line
    with pytest.raises(TooLargeError):
        read_json(folder / "instances.json")


IN_ONE_GIGABYTE = """
import resource, sys
from pathlib import Path
import headstart as hs
from headstart.data.layouts import scan

held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + (1 << 30), held + (1 << 30)))
try:
    scan(Path(sys.argv[1]))
except hs.HeadstartError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="address space is limited on Linux alone")
def test_a_huge_file_is_refused_within_a_gigabyte(tmp_path: Path) -> None:
    """40 MB that would take 1.1 GB."""
    polygon = b'{"image_id": 0, "category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9]]}'
    folder = coco(tmp_path / "coco", polygon + b",[]" * 13_000_000)
    words = [sys.executable, "-c", IN_ONE_GIGABYTE, str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert "instances.json: expected JSON that takes at most" in done.stdout
