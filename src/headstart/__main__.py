"""``python -m headstart``, which is what torchrun calls."""

from headstart.cli.main import main

main()
