"""What a run looks like from outside: snapshots and their screens."""
