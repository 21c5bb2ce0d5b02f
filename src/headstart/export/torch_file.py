"""torch.export: a network with its preprocessing as a graph that PyTorch loads without headstart (.pt2)."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping

import torch

from headstart.errors import HeadstartError
from headstart.export.images import Bytes
from headstart.export.network import ENCODER, SEGMENTER, WholeNetwork
from headstart.export.onnx_file import traced
from headstart.export.parity import Floats, Forward

FACTS = "headstart.json"
"""The file of facts in the archive: ``torch.export.load(FILE, extra_files={"headstart.json": ""})``."""


def to_torch(network: WholeNetwork, facts: Mapping[str, str]) -> bytes:
    """The network as the content of a ``.pt2`` file."""
    written = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(traced(network), written, extra_files={FACTS: json.dumps(dict(facts))})
    return written.getvalue()


def forward_of(content: bytes, outputs: tuple[str, ...]) -> Forward:
    """What `parity.check` compares: probabilities, or features, for a batch."""
    module = torch.export.load(io.BytesIO(content)).module()

    @torch.inference_mode()
    def forward(images: Bytes) -> Floats:
        try:
            found = dict(zip(outputs, module(torch.tensor(images)), strict=True))
        except AssertionError as error:  # a guard of the graph, such as images.size()[1] >= 33: 1 x 1 maps are another
            height, width = images.shape[1:3]
            raise HeadstartError(
                f"export --to torch: expected images that the graph of this network takes, found {height} x {width}"
                f" pixels in the validation images ({error})",
                "headstart export RUN FILE.onnx",
            ) from None
        if outputs == ENCODER:
            chosen = found["features"]
        elif outputs == SEGMENTER:
            chosen = found["logits"].softmax(dim=1)
        else:
            chosen = found["probabilities"]
        result: Floats = chosen.numpy()
        return result

    return forward
