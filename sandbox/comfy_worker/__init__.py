"""A small program that speaks as a ComfyUI does: the demo's machine for runs, and that of tests."""
