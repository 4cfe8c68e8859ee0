"""Holds the table of log lines in docs/operations/telemetry.md against the code: every line of level info and above, with its level and fields.

Whoever watches logs relies on them, so a changed one has to be changed there, and told in the changelog.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parent.parent.parent
PAGE = ROOT / "docs/operations/telemetry.md"


def in_code():
    """Message → (level, fields) of every tracing macro outside of tests."""
    found = {}
    for path in sorted((ROOT / "src").rglob("*.rs")):
        text = path.read_text().split("#[cfg(test)]\nmod ", 1)[0]
        for level, arguments in re.findall(r"tracing::(info|warn|error)!\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)", text):
            message = re.search(r'"((?:[^"\\]|\\.)*)"\s*,?\s*$', arguments)
            assert message, f"{path.relative_to(ROOT)}: {level}!({arguments}) ends with no message"
            head = arguments[: message.start()]
            fields = {re.match(r"[%?]?(\w+)", part.strip()).group(1) for part in split(head) if part.strip()}
            entry = (level, frozenset(fields))
            known = found.setdefault(message.group(1), entry)
            assert known == entry, f"{path.relative_to(ROOT)}: {message.group(1)!r} is logged in two ways"
    return found


def split(arguments):
    """At the commas that stand in no parentheses."""
    depth, part = 0, ""
    for char in arguments:
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0:
            yield part
            part = ""
        else:
            part += char
    yield part


def in_page():
    found = {}
    for message, level, fields in re.findall(r"^\| `([^`|]+)` \| (info|warn|error) \| ([^|]*) \|", PAGE.read_text(), re.MULTILINE):
        found[message] = (level, frozenset(re.findall(r"`(\w+)`", fields)))
    return found


def main():
    code, page = in_code(), in_page()
    for message in sorted(set(code) | set(page)):
        if code.get(message) != page.get(message):
            row = f"| `{message}` | {code[message][0]} | {' '.join(f'`{field}`' for field in sorted(code[message][1]))} |" if message in code else "none"
            sys.exit(f"check_logs: {PAGE.relative_to(ROOT)} and the code differ over {message!r}; the row should be: {row}")
    print(f"{len(page)} lines of the log are documented with their fields")


if __name__ == "__main__":
    main()
