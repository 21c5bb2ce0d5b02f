"""ONNX: a network with its preprocessing as one file, and ONNX Runtime to run it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from headstart.errors import HeadstartError
from headstart.export.images import Bytes
from headstart.export.network import ENCODER, SEGMENTER, WholeNetwork
from headstart.export.parity import Floats, Forward
from headstart.inference.onnx_format import INPUT, MAX_BYTES, sealed

AXES = ("batch", "height", "width")
EXAMPLE = (2, 97, 131, 3)
"""Shape of the batch that the graph is traced with: sides that nothing else is equal to, nor divides."""


def traced(network: WholeNetwork) -> torch.export.ExportedProgram:
    """The network as a graph for batches of any size, of images of any size."""
    any_size = torch.export.Dim.DYNAMIC
    example = torch.zeros(EXAMPLE, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(network, (example,), dynamic_shapes=({0: any_size, 1: any_size, 2: any_size},))


def to_onnx(network: WholeNetwork, outputs: Sequence[str]) -> bytes:
    """The network as an ONNX model: input ``images``, uint8 (batch, height, width, 3), and the named outputs.

    Raises HeadstartError for a network that cannot be written as such a graph.
    """
    from torch.onnx import errors

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                traced(network), input_names=[INPUT], output_names=list(outputs), dynamo=True, verbose=False
            )
    except errors.OnnxExporterError as error:
        raise HeadstartError(
            f"export --to onnx: this network cannot be written as an ONNX graph ({str(error).strip().splitlines()[0]})",
            "headstart export RUN FILE.pt2",
        ) from None
    assert program is not None
    model: Any = program.model_proto
    _name_axes(model)
    content: bytes = model.SerializeToString()
    if len(content) > MAX_BYTES:
        raise HeadstartError(
            f"export --to onnx: expected a network of at most 2 GiB, found {len(content) / 2**30:.1f} GiB",
            "headstart export RUN FILE.pt2",
        )
    return content


def _name_axes(model: Any) -> None:
    """Call the axes of the input, and those of the outputs that are as long, batch, height and width."""
    dims = model.graph.input[0].type.tensor_type.shape.dim
    names = {dim.dim_param: name for dim, name in zip(dims, AXES, strict=False)}
    for value in [*model.graph.input, *model.graph.output]:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in names:
                dim.dim_param = names[dim.dim_param]
    del model.graph.value_info[:]  # shapes by the old names, which nobody needs


def with_facts(content: bytes, facts: Mapping[str, str]) -> bytes:
    """The same model with facts in its metadata, and a checksum of it all at its end."""
    import onnx

    model = onnx.load_model_from_string(content)
    onnx.helper.set_model_props(model, dict(facts))
    model.producer_name, model.doc_string = "headstart", f"{facts['task']}: {facts['classes'][:200]}"
    return sealed(model.SerializeToString())


def session_of(content: bytes, threads: int = 0) -> Any:
    """ONNX Runtime on the CPU for a model in memory; ``threads`` 0: as many as it likes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def forward_of(session: Any) -> Forward:
    """What `parity.check` compares: probabilities, or features, for a batch."""
    names = tuple(output.name for output in session.get_outputs())

    def forward(images: Bytes) -> Floats:
        if names == ENCODER:
            return _run(session, "features", images)
        if names == SEGMENTER:
            return softmax(_run(session, "logits", images), axis=1)  # type: ignore[no-any-return]
        return _run(session, "probabilities", images)

    return forward


def _run(session: Any, name: str, images: Bytes) -> Floats:
    output: NDArray[np.float32] = session.run([name], {INPUT: images})[0]
    return output
