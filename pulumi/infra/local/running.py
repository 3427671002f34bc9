"""What of a stack runs on this machine, as Docker tells it."""

import subprocess


def containers_of(project: str, service: str) -> list[str]:
    """The containers of a service, however they were started: Pulumi and Compose number them differently."""
    listing = ["docker", "ps", "--all", "--format", "{{.Names}}", "--filter", f"name=^{project}-{service}(-[0-9]+)?$"]
    return sorted(subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split())  # noqa: S603
