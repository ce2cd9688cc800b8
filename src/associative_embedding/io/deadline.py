"""Runs a function in a process that can be ended: a C library in an endless loop hears no Ctrl-C, and may crash."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


def within(seconds: float, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Returns the result of a function that runs in a process of its own.

    Args:
        seconds: after this time the process is ended.
        name: what is read, for the messages.
        function: of a module, with arguments and a result that can be pickled.

    Raises:
        ValueError: the function's own; when the time is over; when the process ends without a result.
        OSError: the function's own.
    """
    context = multiprocessing.get_context("spawn")  # a fork would copy locks that threads of this process hold
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=answer, args=(sender, function, arguments), daemon=True)
    process.start()
    sender.close()  # so that the end of the process ends the wait
    try:
        if not receiver.poll(seconds):
            raise ValueError(f"{name}: is not read within {seconds:.0f} seconds; it is damaged, or too large")
        kind, result = receiver.recv()
    except EOFError:
        process.join()
        raise ValueError(f"{name}: cannot be read: the library for it ended with status {process.exitcode}") from None
    finally:
        process.kill()
        process.join()
        receiver.close()
    if kind is not None:
        raise kind(result)
    return result


def answer(sender: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Sends None and the result, or the kind and the text of an error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the first process too, which ends this one
    try:
        sender.send((None, function(*arguments)))
    except ValueError as error:  # as a text: an error with fields of its own may not survive the way
        sender.send((ValueError, str(error)))
    except OSError as error:
        sender.send((OSError, str(error)))
