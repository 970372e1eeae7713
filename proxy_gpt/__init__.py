"""Proxy GPT: a small proxy that a team puts in front of its one OpenAI key."""
__version__ = "0.1.0"
