"""Which cells of a notebook its sliders need: for a look at the sliders without running the rest.

Names are followed backwards from the cells with sliders, as the page runs from top to bottom. What
a cell changes in place (a generator that it draws from, a list that it fills) is not seen, so the
pictures may show other numbers than the page: good for a draft, and to see that sliders move. A
name that is missed raises NameError when the cells are run.
"""

import ast
import symtable

import pages


def needed_cells(notebook):
    """The indices, in order, of the cells with sliders and of the code cells that those need."""
    codes = [(i, cell) for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    kept, wanted = [], set()
    for index, cell in reversed(codes):
        if "solution" in cell.metadata.get("tags", []):
            continue
        made, read = names(cell.source)
        if pages.has_sliders(cell) or made & wanted:
            kept.append(index)
            wanted = (wanted - made) | read
    return kept[::-1]


def names(source):
    """(made, read): the global names that the code binds, and those that it finds bound."""
    lines = ["" if line.startswith(("%", "!")) else line for line in source.splitlines()]
    made, read = set(), set()
    for statement in steps(ast.parse("\n".join(lines)).body):
        top = symtable.symtable(ast.unparse(statement), "cell", "exec")
        for table in tables(top):
            for symbol in table.get_symbols():
                own = table is top
                if symbol.is_referenced() and (own or symbol.is_global()):
                    read |= {symbol.get_name()} - made
        if isinstance(statement, ast.AugAssign):  # it reads what it binds
            read |= {n.id for n in ast.walk(statement.target) if isinstance(n, ast.Name)} - made
        made |= {
            symbol.get_name()
            for symbol in top.get_symbols()
            if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
        }
    return made, read


def steps(body):
    """The statements; of a loop or a with statement first its head, and then those inside."""
    for statement in body:
        if isinstance(statement, ast.For | ast.With):
            inside = statement.body + getattr(statement, "orelse", [])
            statement.body, statement.orelse = [ast.Pass()], []
            yield statement
            yield from steps(inside)
        else:
            yield statement


def tables(table):
    """The table of symbols, and those of all functions and comprehensions in it."""
    yield table
    for child in table.get_children():
        yield from tables(child)
