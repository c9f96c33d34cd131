"""What an engine's adapter implements, and all that it may import: `huldra.engines.kit`.

Knows jobs, their ends and their retries. Must not know how an attempt runs, or a graph is planned.
"""
