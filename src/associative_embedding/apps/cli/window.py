"""A window that shows the frames of a video (``--window``).

It uses Tk from Python's standard library: the headless OpenCV that the package requires has no windows.
"""

from __future__ import annotations

from types import TracebackType

import cv2
import numpy as np

from associative_embedding.structures.arrays import Array

MAX_SIDE = 960  # pixels of the longer side of the picture in the window, so that it fits on a screen


class Window:
    """A window with one picture: ``with Window(title) as window: window.show(picture)``.

    Raises:
        ValueError: one line, when Python has no Tk or the machine has no display.
    """

    def __init__(self, title: str) -> None:
        try:
            import tkinter  # not at the top: many servers have Python without Tk, and ``ae predict`` must run there
        except ImportError:
            raise ValueError("--window needs Tk: install the package python3-tk") from None
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise ValueError(f"--window needs a display ({error})") from None
        self._tk = tkinter
        self._root.title(title)
        self._label = tkinter.Label(self._root)
        self._label.pack()
        self.open = True
        self._root.protocol("WM_DELETE_WINDOW", self._close)

    def show(self, picture: Array) -> bool:
        """Shows an ``(H, W, 3)`` uint8 RGB picture. Returns False if the user has closed the window."""
        scale = min(1.0, MAX_SIDE / max(picture.shape[:2]))
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture
        height, width = small.shape[:2]
        # Tk reads PPM, the only format with raw pixels, so nothing has to be encoded.
        data = b"P6 %d %d 255 " % (width, height) + np.ascontiguousarray(small).tobytes()
        if self.open:
            # Kept in an attribute: Tk holds no reference, and an image that Python has freed is blank.
            self._photo = self._tk.PhotoImage(data=data, format="PPM")
            self._label.configure(image=self._photo)
            self._root.update()
        return self.open

    def _close(self) -> None:
        self.open = False

    def __enter__(self) -> Window:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._root.destroy()
