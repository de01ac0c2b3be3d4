"""One loop for each way a stage is called: claim, call, settle."""
