"""A node for trying a ComfyUI as a machine for runs: it needs no model, and takes its time.

Copy this folder into ComfyUI's `custom_nodes`; `python3 dev.py machine` uses it where it is.
"""

from __future__ import annotations

import time

import numpy
from comfy.utils import ProgressBar
from PIL import Image

SIDE = 64


class DemoSleep:
    """Passes pictures on after a while, step by step, and shows the first at each step."""

    CATEGORY = "demo"
    FUNCTION = "sleep"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802  So ComfyUI wants it.
        """Return what it takes."""
        return {
            "required": {
                "image": ("IMAGE",),
                "seconds": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 600.0}),
            },
            "optional": {"steps": ("INT", {"default": 4, "min": 1, "max": 1000})},
        }

    def sleep(self, image, seconds, steps=4):
        """Return the pictures; each step can be interrupted."""
        bar = ProgressBar(steps)
        shown = Image.fromarray((image[0].numpy() * 255).astype(numpy.uint8))
        shown.thumbnail((SIDE, SIDE))
        for step in range(steps):
            time.sleep(seconds / steps)
            bar.update_absolute(step + 1, steps, ("JPEG", shown, SIDE))
        return (image,)


NODE_CLASS_MAPPINGS = {"DemoSleep": DemoSleep}
