"""A window that shows pictures as they come, where there is a display (Tk, of Python's own library)."""

from __future__ import annotations

from types import TracebackType

import cv2
import numpy as np

from associative_embedding.structures.arrays import Array

MOST = 960  # pixels of the longer side of what is shown


class Window:
    """``with Window(title) as window: window.show(picture)``.

    Raises:
        ValueError: one line, where there is no display.
    """

    def __init__(self, title: str) -> None:
        try:
            import tkinter
        except ImportError:
            raise ValueError("--window needs Tk (python3-tk)") from None
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
        """Show an ``(H, W, 3)`` uint8 RGB picture; whether the window is still open."""
        scale = min(1.0, MOST / max(picture.shape[:2]))
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture
        height, width = small.shape[:2]
        data = b"P6 %d %d 255 " % (width, height) + np.ascontiguousarray(small).tobytes()
        if self.open:
            self._photo = self._tk.PhotoImage(data=data, format="PPM")  # kept, or Tk shows nothing
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
