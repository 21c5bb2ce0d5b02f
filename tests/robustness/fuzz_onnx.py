"""ONNX files that were damaged or changed: all of their bytes, and their metadata under a checksum that fits again."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

from robustness import material
from robustness.mutate import Target, bytes_of, json_of, text_of

FACTS = ("classes", "ranges", "recipe", "task", "headstart")


def onnx_targets(folder: Path) -> list[Target]:
    """`OnnxModel`, with a small network: probabilities are the mean of each color, so that a case takes no second."""
    import onnx
    from onnx import TensorProto, helper

    from headstart.inference.onnx_format import sealed
    from headstart.inference.onnx_model import OnnxModel
    from headstart.recipes import recipe as recipes

    floats = helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT)
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2])
    mean = helper.make_node("ReduceMean", ["floats", "axes"], ["probabilities"], keepdims=0)
    given = helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", "height", "width", 3])
    graph = helper.make_graph(
        [floats, mean],
        "mean",
        [given],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 3])],
        [axes],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    bare = model.SerializeToString()
    facts = {
        "classes": json.dumps(list(material.KINDS)), "task": "classify", "headstart": "0.1.0", "ranges": "{}",
        "recipe": recipes.load("quick", material.RECIPES["classify"][1]).to_toml(),
    }  # fmt: skip
    image = folder / "image.png"
    material.photographs(1, "coffee.png")[0].save(image)

    def whole(changed: dict[str, bytes]) -> bytes:
        """The model with metadata, as `ModelProto` has it, of any bytes."""
        entries = [(name.encode(), changed.get(name, text.encode())) for name, text in facts.items()]
        return sealed(bare + b"".join(_field(14, _field(1, name) + _field(2, text)) for name, text in entries))

    def of_metadata(draw: random.Random, corpus: Sequence[bytes]) -> bytes:
        name = draw.choice(FACTS)
        mutate = json_of if name in ("classes", "ranges") else text_of
        ranges = json.dumps({"integers": {"low": 0.0, "high": 4095.0, "source": "percentiles"}})
        return whole({name: mutate(draw, [ranges.encode() if name == "ranges" else facts[name].encode()])})

    def use(file: Path, draw: random.Random) -> None:
        network = OnnxModel(file)
        predicted = network.predict(image)
        predicted.rows(probabilities=True)
        assert predicted.probabilities.shape == (1, 3)

    content = whole({})
    assert onnx.load_model_from_string(content).metadata_props[0].key == "classes"
    (folder / "model.onnx").write_bytes(content)
    use(folder / "model.onnx", random.Random(0))
    return [
        Target("onnx", "model.onnx", [content], bytes_of, use),
        Target("onnx-metadata", "model.onnx", [content], of_metadata, use),
    ]


def _field(number: int, value: bytes) -> bytes:
    """A field of a protobuf message, of bytes."""
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + _varint(rest) if rest else bytes([low])
