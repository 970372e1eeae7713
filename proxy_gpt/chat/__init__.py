"""The chats' life: what goes along with a prompt (`context`), the upstream's reply to it (`completion`), the whole of an
answer (`prompts`), and how subscribers hear of it (`stream`)."""
