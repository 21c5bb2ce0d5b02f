"""One file, one command. Heavy imports stand inside the commands, so that --help is quick."""
