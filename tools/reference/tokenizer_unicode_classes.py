"""Writes packages/tokenizer/src/unicode-classes.ts: what Hugging Face's Rust tokenizers take for letters and numbers.

usage: python tools/reference/tokenizer_unicode_classes.py   (needs the Python package tokenizers)

Each code point is put to the byte-level pre-tokenizer itself: a letter stays with a letter before it, a number
with a number. JavaScript's \\p{L} depends on the engine's Unicode version (Node 20.20 has 17.0, tokenizers
0.22 and 0.23 have 16.0), so the classes are pinned.
"""

from pathlib import Path

import tokenizers
from tokenizers.pre_tokenizers import ByteLevel

OUT = Path(__file__).parents[2] / "packages/tokenizer/src/unicode-classes.ts"
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def base36(value):
    text = ""
    while value or not text:
        value, digit = divmod(value, 36)
        text = DIGITS[digit] + text
    return text


def deltas(points):
    """Gap to the next range and the range's length less one, in turn, in base 36."""
    ranges = []
    for point in points:
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    end = 0
    parts = []
    for first, last in ranges:
        parts += [base36(first - end), base36(last - first)]
        end = last
    return ",".join(parts), len(ranges)


pre = ByteLevel(add_prefix_space=False, use_regex=True)
stays = lambda before, point: len(pre.pre_tokenize_str(before + chr(point))) == 1
points = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
letters, letter_ranges = deltas([point for point in points if stays("a", point)])
numbers, number_ranges = deltas([point for point in points if stays("1", point)])
OUT.write_text(
    f"""// Written by tools/reference/tokenizer_unicode_classes.py from tokenizers {tokenizers.__version__}; do not edit.

/** Ranges of `\\p{{L}}`: the gap to the range before and the length less one, in turn, in base 36. */
export const LETTERS =
  '{letters}';

/** Ranges of `\\p{{N}}`, written in the same way. */
export const NUMBERS =
  '{numbers}';
"""
)
print(letter_ranges, "ranges of letters,", number_ranges, "of numbers")
