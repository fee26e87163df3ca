"""A whole project at once: its pictures encoded ahead, its boxes made into masks. Stands beside the server."""
