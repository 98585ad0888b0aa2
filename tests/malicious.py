"""A pickle that does something when it is read carelessly."""


class Malicious:
    """Creates a file when it is unpickled by a reader that calls what a pickle asks for."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")
