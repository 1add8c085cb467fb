"""Errors that a user can fix; every other exception is a fault of the program."""


class UserError(ValueError):
    """Options, files or a machine that cannot give what was asked for.

    The message says what was expected, what was given, and where: path, option, key or frame.
    Command lines print it and end with exit code 2; any other exception is a traceback and exit
    code 1.
    """


class ModelFileError(UserError):
    """A model file that cannot be used; the message names the file and what was expected."""


class UsageError(UserError):
    """Options that cannot be met as they stand; the message says what to change."""


class NoInputError(UserError):
    """There is nothing to upscale; exit code 4."""
