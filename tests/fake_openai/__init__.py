"""A character who plays OpenAI: answers as told or as OpenAI would, remembers every question, and can stall,
stutter, trickle, break off and hang up. Bytes in, bytes out: nothing between the tests and the wire."""
from tests.fake_openai.server import HANG_UP, RESET, FakeOpenAI, chunked, head, whole

__all__ = ["HANG_UP", "RESET", "FakeOpenAI", "chunked", "head", "whole"]
