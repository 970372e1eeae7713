"""The ledger: what people with limits have used, and what is held for their calls under way. A call reserves before it goes
upstream, all or nothing, and is settled after it. `sql` keeps it in the database, `shared` in Redis, `book` chooses."""
