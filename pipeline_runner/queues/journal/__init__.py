"""The journal: what of a run is on disk, and how a restart gets it back."""
