"""The broker: leases over ranges of opaque bodies, decided without input or output."""
