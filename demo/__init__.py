"""A real Label Studio beside the backend, with sample photographs: `make demo`."""
