"""The one exception that stands for a user's mistake."""


class InputError(ValueError):
    """A mistake in the input: a file, a config key or an argument.

    The message is one line that names the file, the line or the key, and the mend. Entry points print it
    and exit with code 2; they show a traceback for any other exception only.
    """
