"""Mutations of real files: every case is a function of its random generator, so that a seed replays it."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

EXTREME = (
    b"\0",
    b"\xff",
    b"\0\0",
    b"\xff\xff",
    b"\x7f\xff",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\1\0\0\0",
)
NASTY_TEXT = (
    b"9" * 5000, b"-1", b"1e999", b"nan", b"inf", b"\0", b"\xff\xfe", b"\xe9", b'"', b"'", b"[" * 3000, b"{" * 3000,
    b"a" * 300, b"../" * 50, b"\r\n", b"\n\n", b",,,,", b";", b"\t", b"=", b"=cmd|calc!A1", b"\xef\xbb\xbf", b"\\",
    b"0x10",     b"true", b"null", b"[]", b"{}", b"1_000", b"\xed\xa0\x80", b"%s", b"/dev/zero", b"/", b".",
)  # fmt: skip
NASTY_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1e308, 10**30, float("nan"), float("inf"), "", "x", "\ud800", "a" * 300, "../../x", [], {},
    [None],
    [[]], {"a": 1}, [1, 2, 3], "1", 3.5, -0.0, [["x"]],
)  # fmt: skip

Mutation = Callable[[random.Random, Sequence[bytes]], bytes]
Use = Callable[[Path, random.Random], object]


class Target(NamedTuple):
    """One parser: files to mutate, and what is done with a mutated one."""

    name: str
    file: str
    """Name that a mutated file gets, in the folder of the target."""
    corpus: Sequence[bytes]
    mutate: Mutation
    use: Use
    """Called with the mutated file. Anything that it raises, but HeadstartError and Unreadable, is a failure."""


def bytes_of(draw: random.Random, corpus: Sequence[bytes]) -> bytes:
    """One of the files with some of its bytes changed, most often near its beginning, where headers stand."""
    content = bytearray(draw.choice(corpus))
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        content = _changed(draw, content, corpus)
    fixed = content.startswith(b"\x89PNG") and draw.random() < 0.7
    return _with_png_checksums(bytes(content)) if fixed else bytes(content)


def _changed(draw: random.Random, content: bytearray, corpus: Sequence[bytes]) -> bytearray:
    if not content:
        return bytearray(draw.randbytes(draw.randrange(64)))
    at = draw.randrange(min(len(content), draw.choice((16, 64, 256, len(content)))))
    kind = draw.randrange(9)
    if kind == 0:
        content[at] ^= 1 << draw.randrange(8)
    elif kind == 1:
        content[at] = draw.randrange(256)
    elif kind == 2:
        extreme = draw.choice(EXTREME)
        content[at : at + len(extreme)] = extreme
    elif kind == 3:
        size = draw.choice((2, 4))
        content[at : at + size] = draw.randrange(1 << draw.randrange(1, 8 * size)).to_bytes(
            size, draw.choice(("big", "little"))
        )
    elif kind == 4:
        del content[at:]
    elif kind == 5:
        del content[at : at + draw.randrange(1, 40)]
    elif kind == 6:
        content[at:at] = draw.randbytes(draw.randrange(1, 40))
    elif kind == 7:
        other = draw.choice(corpus)
        start = draw.randrange(len(other) + 1)
        content[at : at + 64] = other[start : start + draw.randrange(1, 200)]
    else:
        part = content[at : at + draw.randrange(1, 100)]
        to = draw.randrange(len(content))
        content[to:to] = part * draw.choice((1, 1, 2, 50))
    return content


def _with_png_checksums(content: bytes) -> bytes:
    """A PNG whose chunks have the checksums of what they hold: else no reader would look at what was changed."""
    fixed, at = bytearray(content[:8]), 8
    while at + 12 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        if at + 12 + size > len(content):
            break
        body = content[at + 4 : at + 8 + size]
        fixed += content[at : at + 4] + body + zlib.crc32(body).to_bytes(4, "big")
        at += 12 + size
    return bytes(fixed) + content[at:]


def text_of(draw: random.Random, corpus: Sequence[bytes]) -> bytes:
    """One of the text files with words, cells or lines replaced by what no reader expects."""
    content = draw.choice(corpus)
    for _ in range(draw.choice((1, 1, 2, 4))):
        if draw.random() < 0.25:
            content = bytes(_changed(draw, bytearray(content), corpus))
            continue
        marks = [at for at, byte in enumerate(content) if byte in b' ,;=\n":.[]{}'] or [0]
        start = draw.choice(marks)
        end = next((at for at in marks if at > start), len(content))
        word = draw.choice((*NASTY_TEXT, b"", draw.randbytes(3), str(draw.randrange(300)).encode()))
        kept = content[end:] if draw.random() < 0.8 else b""
        content = content[: start + 1] + word + kept
    if draw.random() < 0.03:
        content = content.decode("latin-1").encode("utf-16")
    return content


def json_of(draw: random.Random, corpus: Sequence[bytes]) -> bytes:
    """One of the JSON files with values, keys or whole parts replaced; or with its text changed."""
    if draw.random() < 0.2:
        return text_of(draw, corpus)
    content = json.loads(draw.choice(corpus))
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        content = _with_another_value(draw, content)
    return json.dumps(content).encode("utf-8", "surrogatepass")


def _with_another_value(draw: random.Random, content: Any) -> Any:
    if not isinstance(content, (dict, list)) or not content or draw.random() < 0.08:
        return deepcopy(draw.choice(NASTY_VALUES))
    key = draw.choice(list(content)) if isinstance(content, dict) else draw.randrange(len(content))
    if draw.random() < 0.15:
        del content[key]
    elif isinstance(content, list) and draw.random() < 0.1:
        content.append(deepcopy(draw.choice(NASTY_VALUES)))
    elif isinstance(content, dict) and draw.random() < 0.08:
        content[draw.choice(("", "x", "__class__", "a" * 300))] = content.pop(key)
    else:
        content[key] = _with_another_value(draw, content[key])
    return content
