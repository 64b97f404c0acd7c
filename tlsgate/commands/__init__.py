"""The subcommands of `tlsgate`, one module each; `tlsgate.cli` lists and loads them."""

EXIT_OK = 0
EXIT_PROBLEMS = 1
"""What was looked at has problems. Wrong usage is argparse's 2."""
