"""`python -m hftctl` and the installed command."""

from __future__ import annotations

from hftctl.cli.main import main

if __name__ == "__main__":
    main()
