"""Files of a trained network for other programs: ONNX, timm, torch.export; each checked against our predictions."""
