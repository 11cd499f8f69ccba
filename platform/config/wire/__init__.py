"""The wire, client side: uvicorn's HTTP protocol, of our own.

    http1.py        bytes -> heads and bodies, strictly; no socket, no clock
    connection.py   one client's connection: its requests one after the other, its times
    exchange.py     one request and its answer, as ASGI has them
    crowd.py        all connections of the process: how many, from where, for how long
    forwarded.py    what a reverse proxy says of who asks, if it is one of ours

uvicorn stays the server: sockets, processes, signals, a good end. Its parser hands every request
with an `Upgrade` to another protocol, with or without one at hand, and gives a trailer as a header
(docs/decisions/0013).
"""
