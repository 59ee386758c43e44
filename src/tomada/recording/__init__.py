"""Recordings: of the socket calls of any Python program, and of tomada's own messages. Written, read, and understood.

A recording is one file of JSON lines, to which several processes append; so what a killed program has done can be read
up to that moment. May import the protocol, the diagrams that it makes, and ``tomada_recorder``, which writes the lines
of calls. Read ``file.py`` first.
"""

from tomada.recording.load import Recording, load

__all__ = ["Recording", "load"]
