"""Whole jobs, from the start of a process to its end, beside other ways to write them."""
