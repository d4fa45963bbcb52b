"""Stacks for hooks that are called very often: the search begins where it has met the application before.

To make an object of each frame takes most of the time of a search, and to go some frames down takes next to none.
"""

from __future__ import annotations

import sys
from types import CodeType, FrameType

from hermetic.sanitizer.stacks import Frames, grab_from, kinds, library_caller


class Ways:
    """The ways from one hook to the application: how deep on the stack the last frame of SQLAlchemy's was, and of which
    function.

    A frame as deep as before, of the same function, was called by the application; what is above it is not looked at
    again. So a method of the application that SQLAlchemy calls in between goes unseen if it takes just as many frames
    as SQLAlchemy does without it.
    """

    def __init__(self, most: int = 4) -> None:
        """`most` are remembered; each that does not fit costs a tenth of a search."""
        self.most = most
        self.known: tuple[tuple[int, CodeType], ...] = ()
        self._kinds = kinds()

    def grab(self, limit: int = 4, patience: int = 5) -> Frames:
        """As `stacks.grab`, of whoever calls this."""
        if self._kinds is not kinds():
            self._kinds, self.known = kinds(), ()
        for depth, code in self.known:
            try:
                frame = sys._getframe(depth)
            except ValueError:  # not as deep
                continue
            if frame.f_code is code:
                return grab_from(frame, limit, patience)
        return grab_from(self._meet(sys._getframe(1)), limit, patience)

    def _meet(self, frame: FrameType) -> FrameType:
        """The last frame on the way from the hook to the application, remembered from now on."""
        depth = 1
        while (caller := library_caller(frame)) is not None:
            frame, depth = caller, depth + 1
        self.known = ((depth, frame.f_code), *self.known[: self.most - 1])
        return frame
