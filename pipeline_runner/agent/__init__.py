"""One process a host that starts, watches and stops workers until they are what is desired."""
