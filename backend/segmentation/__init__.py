"""EdgeSAM: pixels and prompts in, masks out. Knows no HTTP, no Label Studio, no settings."""
