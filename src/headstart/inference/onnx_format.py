"""What headstart writes into an ONNX file beside the graph: facts and a checksum, read without ONNX Runtime.

An ONNX file is a protobuf message, and two such messages one after the other are one: what `sealed` puts at the end is
a message of its own, which holds the checksum of all before it as one more entry of the metadata.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from headstart.errors import HeadstartError, quoted
from headstart.file_memory import require_room

INPUT = "images"
"""The one input: uint8 (batch, height, width, 3)."""
PROBABILITIES = "probabilities"
"""The first output of a classifier: float32 (batch, classes)."""
MAX_BYTES = 2**31 - 2**20
"""An ONNX file holds at most 2 GiB."""
TIMES_IN_MEMORY = 4
"""The bytes of a file, and its weights as ONNX Runtime parses and then arranges them."""
IR_VERSION, GRAPH, METADATA = 1, 7, 14
"""Numbers of fields in ONNX's `ModelProto`."""
MAX_FIELDS = 10_000
"""Of one message. A file of headstart has some forty, each entry of its metadata one of them."""
VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5
"""How protobuf writes the values of fields."""
BEFORE_CHECKSUM = b"\x72\x2c\x0a\x08checksum\x12\x20"
"""Field 14, 44 bytes long: its field 1, the name, 8 bytes; its field 2, 32 hexadecimal digits."""
CHECKSUM_BYTES = len(BEFORE_CHECKSUM) + 32


def sealed(content: bytes) -> bytes:
    """An ONNX model with the checksum of its bytes after them."""
    return content + BEFORE_CHECKSUM + _checksum(content)


def _checksum(content: bytes | memoryview) -> bytes:
    return blake2b(content, digest_size=16).hexdigest().encode()


def is_sealed(content: bytes) -> bool:
    """Whether a file ends in the checksum of all that stands before it."""
    body = memoryview(content)[:-CHECKSUM_BYTES]
    return content[-CHECKSUM_BYTES:] == BEFORE_CHECKSUM + _checksum(body)


def read_onnx(file: Path) -> tuple[bytes, dict[str, str]]:
    """(the content, the facts in the metadata) of an ONNX file that `headstart export` wrote, unchanged since.

    Raises HeadstartError for any other file, before anything but its outermost fields is parsed.
    """
    if not os.path.isfile(file):  # noqa: PTH113 (Path.is_file raises for a name of more than 255 bytes)
        found = "something else" if os.path.lexists(file) else "no such file"
        raise HeadstartError(f"{file}: expected an ONNX file, found {found}", "headstart export RUN FILE.onnx")
    hint = f"headstart export RUN {quoted(file)} --overwrite"
    size = file.stat().st_size
    if size > MAX_BYTES + CHECKSUM_BYTES:
        raise HeadstartError(f"{file}: expected an ONNX file of at most 2 GiB, found {size / 2**30:.1f} GiB", hint)
    require_room(file, TIMES_IN_MEMORY * size, "an ONNX file", "a machine with more memory")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise HeadstartError(f"{file}: expected an ONNX file, found that it cannot be read ({error})", hint) from None
    try:
        facts = metadata_of(content)
    except ValueError:
        raise HeadstartError(
            f"{file}: expected an ONNX file, found {'an empty file' if not size else 'another one, or a damaged one'}",
            "headstart export RUN FILE.onnx",
        ) from None
    if not {"headstart", "task", "classes", "recipe"} <= facts.keys():
        raise HeadstartError(
            f"{file}: expected an ONNX file with what headstart export writes into it (classes, recipe), found one"
            " without",
            "headstart export RUN FILE.onnx",
        )
    if not is_sealed(content):
        raise HeadstartError(
            f"{file}: expected the file as headstart export wrote it, found it damaged or changed since (its checksum"
            " does not fit)",
            hint,
        )
    return content, facts


def metadata_of(content: bytes) -> dict[str, str]:
    """The metadata of an ONNX model. Raises ValueError for content that is none."""
    seen, facts = set[int](), dict[str, str]()
    for number, value in _fields(memoryview(content)):
        seen.add(number)
        if number == METADATA:
            entry = dict(_fields(value))
            facts[str(entry.get(1, b""), "utf-8")] = str(entry.get(2, b""), "utf-8")
    if not {IR_VERSION, GRAPH} <= seen:
        raise ValueError("neither a version nor a graph")
    return facts


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """(number, bytes) of each field of a protobuf message; of a number no bytes. Raises ValueError where it is none."""
    place = count = 0
    while place < len(message):
        count += 1
        key, place = _varint(message, place)
        kind = key & 7
        if kind == VARINT:
            _, end = _varint(message, place)
            place = end
        elif kind == LENGTH:
            length, place = _varint(message, place)
            end = place + length
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            end = place + (8 if kind == EIGHT_BYTES else 4)
        else:
            raise ValueError("a kind of value that is none")
        if end > len(message) or count > MAX_FIELDS:
            raise ValueError("a field that goes on after the end, or too many fields")
        yield key >> 3, message[place:end]
        place = end


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """A whole number of seven bits a byte, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            break
        byte = message[place]
        value, place = value | (byte & 127) << shift, place + 1
        if byte < 128:
            return value, place
    raise ValueError("a number that does not end")
