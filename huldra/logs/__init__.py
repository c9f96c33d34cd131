"""Logging: the console, and the log file of each artifact.

Knows the standard library's logging. Must not change the configuration of the user's loggers.
"""
