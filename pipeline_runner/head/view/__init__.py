"""What a run looks like to those who watch: snapshots, events, log files."""
