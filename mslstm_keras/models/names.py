"""Names of the models that come with the package, known without Keras: `mslstm models` needs no more.

They are read off the files of the cells, where the decorator `architecture` registers them.
`mslstm_keras.list_models` also knows those that somebody else has registered.
"""

import ast
from collections.abc import Iterator
from pathlib import Path


def _names() -> Iterator[str]:
    """Yields the two names of every function with the decorator: its own, and that of its pyramid."""
    for path in (Path(__file__).parents[1] / "cells").glob("*.py"):
        nodes = ast.parse(path.read_text(encoding="utf-8")).body
        for function in (node for node in nodes if isinstance(node, ast.FunctionDef)):
            for decorator in function.decorator_list:
                if ast.unparse(getattr(decorator, "func", decorator)) == "architecture":
                    settings = {each.arg: each.value for each in getattr(decorator, "keywords", ())}
                    pyramid = settings.get("pyramid", ast.Constant(f"ms_{function.name}"))
                    yield from (function.name, ast.literal_eval(pyramid))


MODELS = tuple(sorted(_names()))
