"""The hosts of a run: who is here, who was, and what each has told."""
