"""The command line of set-up: `python3 -m toolchain`."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - what runs this may be any Python
    sys.exit(
        f"Python 3.11 or later is needed, {sys.executable} is "
        f"{sys.version_info.major}.{sys.version_info.minor}: install it and run "
        "`make setup PYTHON=python3.11`"
    )

from toolchain.cli import main  # an older Python cannot even read it

sys.exit(main(sys.argv[1:]))
