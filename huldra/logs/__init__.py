"""Logging: the console, and the log file of each artifact."""
