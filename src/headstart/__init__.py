"""headstart: how much does pre-training buy you on your own images?

    import headstart as hs

    run = hs.fit("quick", "photos/")
    run.predict(["a.jpg"]).rows()
    run.report()

This is the whole public surface; importing it does not import torch.
"""

from headstart.api import Run, check, fit, resume, study
from headstart.errors import HeadstartError

__all__ = ["HeadstartError", "Run", "check", "fit", "resume", "study"]
