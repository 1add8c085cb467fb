"""The strings below the fields of a class, which describe them to people."""

import ast
import inspect
from itertools import pairwise
from textwrap import dedent


def read_docstrings(kind: type) -> dict[str, str]:
    """Read the strings below the fields of a class from its source, each as one line.

    Those of fields that the class inherits are not among them.
    """
    (tree,) = ast.parse(dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for each, text in pairwise(tree.body):
        if isinstance(each, ast.AnnAssign) and isinstance(text, ast.Expr):
            assert isinstance(each.target, ast.Name)
            found[each.target.id] = " ".join(str(ast.literal_eval(text.value)).split())
    return found
