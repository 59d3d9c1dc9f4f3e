"""The waiting music: a few slow chords, computed, so that nothing of others is shipped or fetched."""

import io
import math
import struct
import wave
from functools import cache

RATE = 8000
"""Samples a second: the telephone's own."""
CHORDS = ((261.63, 329.63, 392.0), (220.0, 261.63, 329.63), (174.61, 220.0, 261.63), (196.0, 246.94, 293.66))
"""C, A minor, F, G: frequencies in hertz."""
CHORD_SECONDS = 3.0
PIECES = len(CHORDS)
"""The queue plays the music in pieces of one chord each, so that it can look in between whether the caller is taken."""


@cache
def waiting_music(piece: int | None = None) -> bytes:
    """A WAV file of 12 seconds, or one piece of it (from 0) of 3 seconds; mono, 16 bit, quiet enough to talk over."""
    samples = bytearray()
    for chord in CHORDS if piece is None else CHORDS[piece : piece + 1]:
        for index in range(int(RATE * CHORD_SECONDS)):
            moment = index / RATE
            swell = math.sin(math.pi * moment / CHORD_SECONDS)
            level = sum(math.sin(2 * math.pi * tone * moment) for tone in chord) / len(chord)
            samples += struct.pack("<h", int(9000 * swell * level))
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, RATE, 0, "NONE", "not compressed"))
        sound.writeframes(bytes(samples))
    return file.getvalue()
