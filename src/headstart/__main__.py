"""The command ``headstart``, and ``python -m headstart``, which is what torchrun calls."""

import signal


def main() -> None:
    """Run the command line. Ctrl-C while Python still imports it ends the process, without a traceback."""
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not below nohup
    if interruptible:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from headstart.cli.main import main as command_line

    if interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    command_line()


if __name__ == "__main__":
    main()
