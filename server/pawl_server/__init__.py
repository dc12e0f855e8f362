"""The fleet server: repository, director and device link."""
