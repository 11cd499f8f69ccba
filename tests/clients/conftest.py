"""The custom node, loaded as ComfyUI loads it: by its path, whatever its folder is called."""

import importlib.util
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "clients" / "comfyui-credits"
NAME = "comfyui_credits_node"


@pytest.fixture(scope="session")
def node():
    spec = importlib.util.spec_from_file_location(NAME, FOLDER / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
    for part in ("box", "place", "pairing", "wayback", "routes"):
        importlib.import_module(f"{NAME}.{part}")
    return module


@pytest.fixture
def key_file(node, tmp_path, monkeypatch):
    """Where its key is kept; nothing else of this machine's environment counts."""
    file = tmp_path / "user" / "key.json"
    monkeypatch.setenv("COMFYUI_CREDITS_KEY_FILE", str(file))
    for name in ("COMFYUI_CREDITS_URL", "COMFYUI_CREDITS_KEY"):
        monkeypatch.delenv(name, raising=False)
    return file
