"""The JSON schema of option files, for completion and checks in editors.

`python -m sr.options.json_schema > options/schema.json` after every change of the options.
"""

import json
import sys

from sr.options.schema import Options

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def generate_schema() -> str:
    """Return the schema of an option file, with keys as written in it, as indented JSON."""
    schema = {"$schema": DIALECT, **Options.model_json_schema(by_alias=True)}
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(generate_schema())
