"""Configs that become directories: made exactly once, on any engine, and reused."""
