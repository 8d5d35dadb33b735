"""From an image file to upright RGB, with Pillow and NumPy alone.

Every ``showtell export`` carries a copy of this folder beside its script, so that a model sees the same
pixels with and without this package. Modules here import each other, ``showtell.errors``, Pillow, NumPy and
the standard library; pillow-heif where a HEIC image asks for it.
"""
