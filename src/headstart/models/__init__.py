"""Networks: backbones and where their numbers come from, and heads."""
