"""Queues of items between stages: bodies, ranges, leases, and the broker that moves them."""
