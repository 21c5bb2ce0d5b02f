"""Images cost a bounded amount of memory whatever their headers say. Each is read in a process of limited memory."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart.data.conversion import Conversion
from headstart.data.memory import decoding, reserve
from headstart.data.unreadable import Unreadable

SIDE = 13_300
READ = """
import resource, sys
from pathlib import Path
import numpy, PIL.Image, rasterio
from headstart.data.decode import read, resize_to_square, upright_size
from headstart.data.masks.color_stats import collect_color_stats
from headstart.data.masks.mask_file import read_mask_file
from headstart.data.unreadable import Unreadable

held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + (1 << 30), held + (1 << 30)))
for name in sys.argv[1:]:
    file = Path(name)
    upright_size(file)
    try:
        for resize in ("squash", "crop", "pad"):
            pixels = resize_to_square(read(file, enough_for=64).rgb, 64, resize)
        said = "read"
    except Unreadable as error:
        said = f"{error.kind}: {error.detail}"
    try:
        read_mask_file(file)
        said += ", a mask"
    except Unreadable as error:
        said += f", as a mask {error.kind}: {error.detail}"
    collect_color_stats([file])
    print(f"{file.name} {said}")
"""


def read_in_one_gigabyte(*files: Path) -> dict[str, str]:
    """What came of reading each file as an image and as a mask, with 1 GiB of address space beside the libraries."""
    child = [sys.executable, "-c", READ, *map(str, files)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(child, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


def zeros(count: int) -> bytes:
    """The zlib stream of so many zeros (RFC 1950), of equal blocks: a full flush makes each independent of the last."""
    packed = zlib.compressobj(9, wbits=-15)
    block = packed.compress(bytes(1 << 20)) + packed.flush(zlib.Z_FULL_FLUSH)
    rest = zlib.compressobj(9, wbits=-15)
    end = rest.compress(bytes(count % (1 << 20))) + rest.flush()
    checksum = (count % 65_521) << 16 | 1  # Adler-32 of zeros
    return b"\x78\x01" + block * (count >> 20) + end + checksum.to_bytes(4, "big")


def png(file: Path, width: int, height: int, bits: int, color: int) -> Path:
    """A PNG of zeros: the test itself takes neither the memory nor the time to compress them."""
    data = zeros(height * (1 + width * bits // 8 * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]))

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = zlib.crc32(kind + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + kind + content + crc

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([bits, color, 0, 0, 0])
    table = chunk(b"PLTE", bytes(768)) if color == 3 else b""
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + table + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    return file


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="address space is limited on Linux alone")
def test_no_image_takes_more_than_a_gigabyte(tmp_path: Path) -> None:
    long = tmp_path / "long.tif"
    Image.fromarray(np.zeros((40, 2_097_182), np.uint16)).save(long, compression="tiff_adobe_deflate")
    tall = tmp_path / "tall.png"
    png(tall, 2, 4_000_000, 8, 2)
    Image.new("L", (10_000, 10_000)).save(tmp_path / "large.webp", lossless=True, method=0)
    found = read_in_one_gigabyte(
        png(tmp_path / "deep.png", SIDE, SIDE, 16, 0),
        png(tmp_path / "rgba.png", SIDE, SIDE, 8, 6),
        png(tmp_path / "line.png", SIDE * SIDE, 1, 8, 0),
        long,
        tall,
        tmp_path / "large.webp",
    )
    assert {name for name, said in found.items() if said.startswith("too large")} == {
        "deep.png", "rgba.png", "large.webp",
    }  # fmt: skip
    assert found["line.png"].startswith("read,")
    assert found["tall.png"] == "read, a mask"
    assert found["long.tif"].startswith("of 16 bits: values 0 to 0")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes and devices are files on Unix alone")
def test_only_regular_files_are_read_and_their_size_is_looked_at_first(tmp_path: Path) -> None:
    sparse, zero, pipe = (tmp_path / name for name in ("sparse.jpg", "zero.jpg", "pipe.jpg"))
    sparse.touch()
    os.truncate(sparse, 1 << 40)
    zero.symlink_to("/dev/zero")
    os.mkfifo(pipe)
    found = read_in_one_gigabyte(sparse, zero, pipe)
    assert found["sparse.jpg"].startswith("too large: a file of 1099.5 GB")
    assert all(found[name].startswith("not a regular file") for name in ("zero.jpg", "pipe.jpg"))


class TestMemory:
    """`reserve`: an image that takes more than the limit is refused, and one at a time if two take more together."""

    def test_more_than_the_limit_is_refused_by_the_field(self) -> None:
        limit = Conversion(max_pixels=200_000_000).max_bytes
        with decoding(), pytest.raises(Unreadable, match=r"data\.max_pixels=200000000"):
            reserve(limit + 1, limit)

    def test_threads_wait_for_each_other(self) -> None:
        from concurrent.futures import ThreadPoolExecutor
        from threading import Event, Lock

        lock, busy, most = Lock(), 0, 0

        def decode(_: int) -> None:
            nonlocal busy, most
            with decoding():
                reserve(60, 100)
                with lock:
                    busy += 1
                    most = max(most, busy)
                Event().wait(0.005)
                reserve(90, 100)  # who has some does not wait for more
                with lock:
                    busy -= 1

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(decode, range(8)))
        assert most == 1
        with decoding():
            reserve(100, 100)
