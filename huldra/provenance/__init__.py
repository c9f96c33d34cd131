"""Where an artifact comes from: git, environment, command line."""
