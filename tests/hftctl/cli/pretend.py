"""A traffic process that ends the way it is told: `python -m tests.hftctl.cli.pretend --url URL --json CODE`."""

import json
import sys
from pathlib import Path

words = sys.argv[1:]
key = Path(words[words.index("--api-key-file") + 1]).read_text() if "--api-key-file" in words else ""
code = int(next(word for word in words if word.isdigit()))
print("warming up", file=sys.stderr)
print(f"the last word, {code}", file=sys.stderr)
if code in (0, 11):
    print(json.dumps({"url": words[1], "key_length": len(key), "key_in_words": bool(key) and key in " ".join(words)}))
sys.exit(code)
