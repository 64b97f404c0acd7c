"""`python -m lab.bench [NAME…]`: prints all measurements, or those of some modules, as JSON lines.

A measurement has `name`, `value`, `unit`, `limit` (what the project promises), `ok`, and
`command`, which repeats it. A benchmark is not a test, because machines are noisy. So most of them
compare two things within one run. Exits non-zero only if something could not be measured.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
from types import ModuleType

from lab import bench
from lab.commands import LabError


def modules() -> list[ModuleType]:
    """The modules of this folder that measure something."""
    names = (info.name for info in pkgutil.iter_modules(bench.__path__) if info.name != "__main__")
    found = (importlib.import_module(f"lab.bench.{name}") for name in names)
    return [module for module in found if hasattr(module, "measurements")]


def main() -> int:
    """The command line."""
    known = {module.__name__.rpartition(".")[2]: module for module in modules()}
    parser = argparse.ArgumentParser(prog="lab.bench", description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"of {', '.join(known)}")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(known)):
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    failed = 0
    for name, module in known.items():
        if options.names and name not in options.names:
            continue
        try:
            for line in module.measurements():
                print(json.dumps(line), flush=True)
        except (LabError, OSError, RuntimeError) as error:
            failed += 1
            print(f"bench: {name} could not be measured: {error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
