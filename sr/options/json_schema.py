"""The JSON schema of option files, by which editors complete and check them.

`python -m sr.options.json_schema > options/schema.json` after every change of the options.
"""

import json
import sys

from sr.options.schema import Options

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_json() -> str:
    """The schema of a whole option file, keys as they are written in it, as indented JSON."""
    schema = {"$schema": DIALECT, **Options.model_json_schema(by_alias=True)}
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_json())
