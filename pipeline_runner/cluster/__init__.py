"""Many machines: who may join, how they are found, and who is there."""
