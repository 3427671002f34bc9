"""What API_KEYS and API_KEYS_FILE look like: `NAME:KEY`, one a line or with commas between, beside lines of notes."""


def key_entries(text: str) -> list[str]:
    """Each `NAME:KEY`, as it is written; lines that begin with # are notes."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return [item.strip() for line in lines for item in line.split(",") if item.strip()]
