"""What annotators accepted, the jobs that learn from it, and the versions they made: one SQLite file in MODEL_DIR."""
