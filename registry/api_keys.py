"""What API_KEYS and API_KEYS_FILE look like: `NAME:KEY`, one a line or with commas between, beside lines of notes."""


def key_entries(text: str) -> list[str]:
    """Each `NAME:KEY`, as it is written; lines, and what stands between commas, are notes if they begin with #."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    items = [item.strip() for line in lines for item in line.split(",")]
    return [item for item in items if item and not item.startswith("#")]
