"""OpenAI, or who plays it: where it is (`address`), what may be said to it (`headers`), and how (`transport`)."""
