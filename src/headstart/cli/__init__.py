"""The command line: a file per command, each a call of the Python API."""
