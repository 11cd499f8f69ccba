"""A ComfyUI, proved to be a machine for runs: `python3 dev.py machine ADDRESS`."""
