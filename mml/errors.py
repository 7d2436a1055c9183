"""The exceptions that are told in one line: a user's mistake, and a fault of the machine."""


class InputError(ValueError):
    """A mistake in the input: a file, a config key or an argument.

    The message is one line that names the file, the line or the key, and the mend. Entry points print it
    and exit with `exit_code`; they show a traceback for any other exception only.
    """

    exit_code = 2


class MachineError(InputError):
    """A fault of the machine that no other input would mend: a full disk, a limit of the system, a broken device.

    It is told as an InputError is, and where those are caught it is caught too; only the exit code differs.
    """

    exit_code = 4
