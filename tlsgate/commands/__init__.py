"""The subcommands of `tlsgate`, one module each. They are listed and loaded by `tlsgate.cli`."""

EXIT_OK = 0
EXIT_PROBLEMS = 1
"""Problems were found. Wrong usage is 2, from argparse."""
