#!/usr/bin/env python3
"""Checks that every relative link and image of the Markdown files leads somewhere."""

import re
import subprocess
import sys
from pathlib import Path

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|<img[^>]*src=\"([^\"]+)\"")


def broken(page):
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        for match in LINK.finditer(line):
            link = (match.group(1) or match.group(2)).split("#")[0]
            if link and "://" not in link and not link.startswith(("mailto:", "data:")):
                if not (page.parent / link).exists():
                    yield f"{page}:{number}: {link} does not exist"


def main():
    listed = subprocess.run(["git", "ls-files", "-z", "*.md"], check=True, capture_output=True, text=True).stdout
    problems = [problem for name in listed.split("\0") if name for problem in broken(Path(name))]
    print("\n".join(problems) or "every link leads somewhere")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
