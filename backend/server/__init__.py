"""HTTP: routes, doors (auth, limits), eyes (logs, metrics). Thin."""
