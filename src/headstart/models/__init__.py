"""Networks: backbones and their weights, heads, segmentation decoders, losses."""
