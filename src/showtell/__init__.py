"""Show it your pictures. It tells you what it sees."""

__version__ = "0.1.0"
