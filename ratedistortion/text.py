"""Text from outside, such as the name of a file, made fit for a terminal, a figure and JSON."""


def printable(text: str, length: int | None = None) -> str:
    """One line that no terminal takes for a command.

    Args:
        text: Any text.
        length: How long it may be, in characters; None for any length.

    Returns:
        The text with one space for each piece of white space and a question mark for each character
        that cannot be printed. Too long a text has its middle left out.
    """
    line = " ".join(text.split())
    line = "".join(letter if letter.isprintable() else "?" for letter in line)
    if length is None or len(line) <= length:
        return line
    return f"{line[: length // 2 - 3]} ... {line[2 - length // 2 :]}"
