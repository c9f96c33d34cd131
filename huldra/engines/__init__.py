"""The seam between huldra and an engine: what an adapter implements and may import."""
