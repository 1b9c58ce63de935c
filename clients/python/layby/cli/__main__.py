"""`python -m layby.cli`: the same as `layby`. Owns nothing; must never do more."""

from __future__ import annotations

from layby.cli.app import main

if __name__ == "__main__":
    main()
