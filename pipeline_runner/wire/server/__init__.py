"""The side that is connected to: who may come in, and frames on the head's event loop."""
