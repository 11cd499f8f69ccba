"""Files that a run names by their addresses: where they may go, how they come here, what is kept.

`targets.read` before anything is held; `fetch.fetch` in the worker's process, never in the web's.
"""
