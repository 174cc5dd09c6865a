"""
Tracebacks of handled exceptions, which keep frames alive.

A future or a stream keeps the exception that it was given, and the frame that waits for it keeps
the future: a reference cycle once the exception is raised there, and all that the frame knows
waits for the garbage collector.
"""


def forget_frames(error: BaseException) -> None:
    """
    Free the frames that ``error``, and what it was raised from, has passed.

    The chain may be a circle: an error that is raised again while one that it caused is handled.
    """
    freed: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in freed:
        cause.__traceback__ = None
        freed.append(cause)
        cause = cause.__cause__ or cause.__context__
