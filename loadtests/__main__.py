"""`make load SCENARIO=...`: a longer run, its bars judged."""

from __future__ import annotations

import sys

from loadtests.run import main

sys.exit(main(["--judge-times", "--seconds", "60", *sys.argv[1:]]))
