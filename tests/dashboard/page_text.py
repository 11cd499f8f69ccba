"""What a page says."""


def text(answer) -> str:
    """Return a page as one line."""
    return " ".join(answer.content.decode().split())
