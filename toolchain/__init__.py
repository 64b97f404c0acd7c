"""Set-up: everything that the deployment, the lab and the tests need on this machine.

`python3 -m toolchain` (or `make setup`). It runs before any environment exists, so it is
written on Python's standard library alone. Each step looks first at what is there, prefers what the
user or the vendor offers, and says what it chose; a repeat does only what is missing.

Tools are kept outside the clone, in ${XDG_CACHE_HOME:-~/.cache}/tlsgate, by version. What belongs
to the clone is in .venv and .state; the user's own Pulumi login, plugins and Docker context are
left as they are.
"""
