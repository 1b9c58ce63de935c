"""`python -m tests.audit FILE...`: judges a history, names what is broken and the lines that prove
it, and ends with the account as one JSON object. Exit 1 when a promise is broken."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from tests.audit.auditor import audit
from tests.audit.history import read

SHOWN = 5


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.audit", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="JSON lines")
    files = parser.parse_args().files
    began = time.monotonic()
    account = audit(read(*files))
    for breach in account.breaches[:SHOWN]:
        print(f"{breach.promise}: {breach.text}", file=sys.stderr)  # noqa: T201
        for line in breach.lines:
            print(f"  {json.dumps(line)}", file=sys.stderr)  # noqa: T201
    told = account._asdict() | {"breaches": len(account.breaches), "failures": account.faults}
    told |= {"method": "audit", "seconds": round(time.monotonic() - began, 3)}
    print(json.dumps(told))  # noqa: T201
    return 1 if account.breaches else 0


if __name__ == "__main__":
    sys.exit(main())
