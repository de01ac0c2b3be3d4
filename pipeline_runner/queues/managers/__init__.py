"""The door for stock ``multiprocessing.managers`` clients, which import nothing of ours.

A request goes: ``door`` (sockets) -> ``frames`` -> ``peer`` (the protocol) -> ``requests`` (read,
never unpickled) -> ``guests`` (gets and puts on the broker's edges) -> ``replies``.
"""
