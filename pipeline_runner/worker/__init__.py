"""One process that runs one stage: claim, call, settle."""
