"""Fixed."""
from __future__ import annotations
TRACES: list = []
