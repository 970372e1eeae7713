"""Who listens to which chat: subscribers of this process, and with Redis those of all processes.

With Redis, what is published goes through it and comes back, so that all subscribers see one order. A worker has one
subscription connection, however many subscribers it has.
"""
