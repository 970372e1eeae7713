"""Proxy GPT: a small proxy that a team puts in front of its one OpenAI key."""
