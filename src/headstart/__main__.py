"""``python -m headstart``, which is what torchrun calls."""

from headstart.cli import main

main()
