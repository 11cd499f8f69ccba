"""ComfyUI's own page, for the tests that sign in with it: brought here once, apart from the rest.

It is 120 MB of files and no library: a group of pyproject.toml, locked in
`tests/connect/requirements.lock`, it lives in `.frontend`, and only those tests read it.
"""

from __future__ import annotations

from local.aside import ROOT, Aside

FOLDER = ROOT / "tests" / "connect"
PLACE = ROOT / ".frontend"
PAGE = PLACE / "comfyui_frontend_package" / "static"
ASIDE = Aside(FOLDER / "requirements.lock", PLACE, f"{PAGE.relative_to(PLACE)}/index.html")
