"""The far side of each wire, as programs: what the platform talks to when it talks to nobody real.

`python -m sandbox --port 9000` answers as the vendors do, each under its own name
(`http://127.0.0.1:9000/bfl/v1/...`), fails as they do when asked to, and counts what it was asked.
It keeps no file and asks no network; all it knows is gone when it stops.
"""
