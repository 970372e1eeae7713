"""The event log: one row a request, cheap while it is served, there even when the process is killed right after.

A request's way: `record` (one event in the making) is written to the `journal` (a file of this process), from where the
`shipper` moves it into the events table in batches. The journal is the queue: while the database is away it grows, and
what a killed process left in its journal the next process ships.
"""
