"""Benchmarks: what the proxy costs beside the shortest Flask + requests passthrough, measured side by side in one run.

Not tests: pytest does not collect them. `python -m tests.bench` prints the README's table.
"""
