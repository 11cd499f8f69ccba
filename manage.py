"""Django's commands, with `platform/` on the path (the folder is not a package)."""

import sys
from pathlib import Path

if __name__ == "__main__":
    root = Path(__file__).resolve().parent
    sys.path[:0] = [str(root), str(root / "platform")]

    from config.manage import main

    main()
