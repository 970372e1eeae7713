"""What this process has open: calls to the upstream, prompts that wait for their reply, and who listens to a chat."""

LONGEST_TEXT = 200  # characters of an endpoint or a model's name, which callers choose


def items(process):
    """All of it. Each has a `kind` (call, prompt, sse, websocket), a `record`, and `progress()`: its model and bytes so far."""
    watched = [exchange.about for exchange in tuple(process.watch.exchanges.values())]
    return [item for item in (*watched, *tuple(process.prompts.streamed)) if item is not None]


def shown(item):
    """An item as the table `processes` has it."""
    model, size = item.progress()
    record = item.record
    return {
        "id": record.id, "kind": item.kind, "user_id": record.user_id, "endpoint": record.endpoint[:LONGEST_TEXT],
        "model": model[:LONGEST_TEXT], "since": record.timestamp, "bytes": size,
    }  # fmt: skip
