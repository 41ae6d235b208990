"""What must not stand in a Rust cell, found without compiling it."""

import re

QUESTION = "a `?` at top level: a failure there ends the cell in silence; use .unwrap() or .expect(..)"

TOKEN = re.compile(
    r"""
    (?P<skip> \s+ | //[^\n]* )
  | (?P<comment> /\* )
  | (?P<raw> (?:b|c)?r(?P<hashes>\#*)" )
  | (?P<string> (?:b|c)?"(?:\\.|[^"\\])*" )
  | (?P<char> b?'(?:\\(?:u\{[^}]*\}|x..|.)|[^'\\\n])' )
  | (?P<lifetime> '(?:r\#)?\w+ )
  | (?P<word> (?:r\#)?\w+ )
  | (?P<double> -> | => | :: | && | \|\| )
  | (?P<symbol> . )
    """,
    re.VERBOSE | re.DOTALL,
)
ITEMS = {"fn", "impl", "trait", "mod", "struct", "enum", "union", "macro_rules"}
# Where a value may begin, `|` begins a closure's parameters; elsewhere it is an operator or parts two patterns.
BEFORE_A_VALUE = {"", "(", "[", "{", "}", ",", ";", "=", "=>", "move", "return", "async", "&", "|", "||"}
OPENING = {"(": ")", "[": "]", "{": "}"}


def tokens(source):
    """The tokens of Rust source, each with its offset; comments and blanks left out, a literal as one `\"\"`."""
    place = 0
    while place < len(source):
        found = TOKEN.match(source, place)
        kind, text, start = found.lastgroup, found.group(), place
        if kind == "hashes":
            kind = "raw"
        place = found.end()
        if kind == "comment":
            place = end_of_comment(source, start)
        elif kind == "raw":
            end = source.find('"' + found["hashes"], place)
            place = len(source) if end < 0 else end + 1 + len(found["hashes"])
            yield '""', start
        elif kind in ("string", "char", "lifetime"):
            yield '""' if kind != "lifetime" else "'", start
        elif kind != "skip":
            yield text, start


def end_of_comment(source, start):
    """Block comments nest."""
    depth = 0
    for mark in re.finditer(r"/\*|\*/", source[start:]):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return start + mark.end()
    return len(source)


class Level:
    """What is open around a token: a bracket, and whether a `?` inside it returns from a function or closure of the cell."""

    def __init__(self, returns):
        self.returns = returns
        self.item = False
        self.closure = False
        self.bars = False


def top_level_question(source):
    """The line number (from 1) of the first `?` that would return from the cell itself, or None.

    Inside a function or a closure `?` is as usual; inside a block, loop or call of the cell it is not.
    """
    # The kernel's own commands (`:dep ..`) are not Rust.
    source = re.sub(r"(?m)^:\w.*$", "", source)
    levels = [Level(False)]
    before = ""
    for token, place in tokens(source):
        level = levels[-1]
        if token in OPENING:
            block = token == "{"
            closure = level.closure or (block and before in ("async", "try"))
            levels.append(Level(level.returns or closure or (block and level.item)))
        elif token in (")", "]", "}"):
            if len(levels) > 1:
                levels.pop()
            if token == "}":
                levels[-1].item = False
        elif token in (",", ";"):
            level.closure = False
            if token == ";":
                level.item = False
        elif token in ITEMS:
            level.item = True
        elif token == "|":
            if level.bars:
                level.bars, level.closure = False, True
            elif before in BEFORE_A_VALUE:
                level.bars = True
        elif token == "||" and before in BEFORE_A_VALUE:
            level.closure = True
        elif token == "?" and before not in (":", "+", "<", ",") and not (level.returns or level.closure):
            return source.count("\n", 0, place) + 1
        before = token
    return None
