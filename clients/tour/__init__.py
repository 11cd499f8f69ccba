"""Runs a ComfyUI's paid nodes through this platform, and compares what they cost."""
