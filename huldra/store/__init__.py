"""One artifact on disk and who may write it. Knows no engine, and no config but its hash."""
