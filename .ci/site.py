"""Pages of the site that are made of what lies elsewhere: the zoo, the data sets, the public names, files at the root.

`mkdocs.yml` names this file as a hook. Links of a page to files of the repository lead to the pages made of them.
"""

import ast
import os
import posixpath
import re
import sys
import tempfile
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import mslstm_keras as ms
from mslstm_keras.zoo.table import zoo_tables

ROOT = Path(__file__).parents[1]
MADE = {"README.md": "index.md", "CITATION.cff": "CITATION.cff"}
MADE |= {f"{name.upper()}.md": f"{name}.md" for name in ("contributing", "security", "changelog")}
"""Path in the repository -> path in the site, of files that are shown as they stand."""
CARD = "zoo/{0}/1/{1}"
SCRATCH = tempfile.TemporaryDirectory()
"""What notebooks write, each in a folder of its own."""
LINK = re.compile(r"(\]\()([^)#:\s]+)(?=[)#])")


def on_config(config: MkDocsConfig) -> None:
    """Gives notebooks this environment's commands and a place for data; what TensorFlow logs stays out of them."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ["TFDS_DATA_DIR"] = f"{SCRATCH.name}/data"
    os.environ["IPYTHONDIR"] = SCRATCH.name
    profile = Path(SCRATCH.name, "profile_default")
    profile.mkdir()
    (profile / "ipython_kernel_config.py").write_text(
        "c.IPKernelApp.capture_fd_output = False\n"
        "c.ZMQInteractiveShell.system_raise_on_error = True\n"  # a command that fails ends the build
    )


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Adds the pages that are made, and the pictures of the cards."""
    entries = ms.list_pretrained(ROOT / "zoo")
    for builder in sorted(ROOT.glob("tfds_builders/*/README.md")):
        MADE[str(builder.relative_to(ROOT))] = f"data/{builder.parent.name}.md"
    for name in entries:
        MADE[CARD.format(name, "README.md")] = f"zoo/{name}/README.md"
        for picture in ("samples.gif", "curve.png"):
            MADE[CARD.format(name, picture)] = f"zoo/{name}/{picture}"
    for source, page in MADE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    packages = _public_names()
    for package, names in packages.items():
        files.append(
            File.generated(config, f"reference/{package}.md", content="\n".join(_reference(package, names)))
        )
    files.append(File.generated(config, "reference/index.md", content="\n".join(_packages(packages))))


def on_pre_page(page: Page, config: MkDocsConfig, files: Files) -> None:
    """Runs a notebook in an empty folder."""
    if page.file.src_uri.startswith("tutorials/"):
        folder = Path(SCRATCH.name, Path(page.file.src_uri).stem)
        folder.mkdir(exist_ok=True)
        os.chdir(folder)
        os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)  # its commands are quiet where nobody has set it


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leads the links of a notebook, which name files of the repository, to their pages."""
    if not page.file.src_uri.startswith("tutorials/"):
        return html
    os.chdir(ROOT)

    def led(match):
        page_of_link = _page(match[1], page)
        if files.get_file_from_path(posixpath.normpath(posixpath.join("tutorials", page_of_link))) is None:
            raise PluginError(f"{page.file.src_uri}: no page {match[1]}")
        return f'href="{Path(page_of_link).with_suffix(".html")}'

    return re.sub(r'href="([^"#:]+\.(?:md|py))(?=["#])', led, html)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Points links at the pages that were made of the files they name."""
    if page.file.src_uri == "zoo.md":
        markdown = markdown.replace("<!-- gallery -->", "\n".join(_gallery(ms.list_pretrained(ROOT / "zoo"))))
    if page.file.src_uri.startswith("reference/"):
        return markdown
    return LINK.sub(lambda match: match[1] + _page(match[2], page), markdown)


def _page(link, page):
    """Returns where a link of a page leads within the site; it names a file of the repository."""
    origins = {made: source for source, made in MADE.items()}
    here = posixpath.dirname(origins.get(page.file.src_uri, f"docs/{page.file.src_uri}"))
    target = posixpath.normpath(posixpath.join(here, link))
    return posixpath.relpath(
        MADE.get(target, target.removeprefix("docs/")), posixpath.dirname(page.file.src_uri) or "."
    )


def _gallery(entries):
    """Yields a card with a picture for each entry, then the tables. Links are those of a page in `docs/`."""
    yield '<div class="grid cards" markdown>\n'
    for name, entry in sorted(entries.items()):
        recipe, cost = entry.recipe, entry.cost
        height, width, _ = recipe.frame_shape
        mse = entry.scores["model"]["mse"]["mean"]
        facts = [
            f"`{recipe.model}` on `{recipe.data}`",
            f"{recipe.context_frames} frames of {height} x {width} in, {recipe.forecast_frames} out",
            f"MSE {mse:.2f} (sum over a frame), {entry.parameters:,} parameters",
        ]
        if cost:
            facts.append(
                f"a forecast takes {cost['seconds']:.2g} s and {cost['macs'] / 1e9:.1f} G multiply-accumulates"
            )
        yield f"-   **[{name}](../{CARD.format(name, 'README.md')})**\n"
        yield f"    ![truth, forecast and difference of test clips](../{CARD.format(name, 'samples.gif')})\n"
        yield f"    {'; '.join(facts)}.\n"
    yield "</div>\n"
    yield from zoo_tables(entries, "../zoo")


def _public_names():
    """Returns package -> {documented name: module}, of `mslstm_keras` and its public rooms."""
    top = _imports("mslstm_keras", "__init__.pyi")
    rooms = [f"mslstm_keras.{name}" for name, module in top.items() if module == "mslstm_keras"]
    packages = {
        "mslstm_keras": {name: module for name, module in top.items() if f"mslstm_keras.{name}" not in rooms}
    }
    for room in rooms:
        stubs = [file for file in ("__init__.pyi", "__init__.py") if _imports(room, file)]
        # A room whose modules have the names of their functions has no list of names.
        packages[room] = _imports(room, stubs[0]) if stubs else dict.fromkeys(_modules(room), room)
    return packages


def _imports(package, file):
    path = ROOT / package.replace(".", "/") / file
    nodes = ast.parse(path.read_text()).body if path.exists() else []
    return {
        alias.name: node.module for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }


def _modules(package):
    return sorted(path.stem for path in (ROOT / package.replace(".", "/")).glob("[!_]*.py"))


def _reference(package, names):
    yield f"# {package}\n"
    yield f"{ast.get_docstring(ast.parse((ROOT / package.replace('.', '/') / '__init__.py').read_text())) or ''}\n"
    for name, module in sorted(names.items()):
        yield f"::: {module}.{name}\n"


def _packages(packages):
    yield "# Reference\n"
    yield "The names typed daily are at the top, `mslstm_keras`; the others are in the package of their subject.\n"
    for package, names in packages.items():
        yield f"- [{package}]({package}.md): {', '.join(f'`{name}`' for name in sorted(names))}"
