"""What a config is: its fields, their values, their hash, and their documents.

Knows types and classes. Must not know where an artifact is, or that there is a disk.
"""
