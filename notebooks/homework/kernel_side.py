"""Sent into every grading kernel first: switches vi_helpers off, limits output, opens the door.

The sender runs this text in names and built-ins of its own and then calls install.
"""

import collections
import io
import os
import socket
import sys
import types

import ipykernel.iostream


class OutputLimitError(Exception):
    """A cell printed too much."""


class NoCoursePackage:
    """Stops `import vi_helpers` before any other finder is asked."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] == "vi_helpers":
            raise ModuleNotFoundError("vi_helpers is switched off in homework", name=name)


def limit_output(events, max_output):
    """Stop a flood where it starts: later it would fill the grader's memory too."""
    written = [0]

    class Limited(io.StringIO):
        def write(self, text):
            written[0] += len(text)
            if written[0] > max_output:
                raise OutputLimitError(f"more than {max_output} characters printed")
            return super().write(text)

    # every stream keeps its text in one of these until it is sent
    ipykernel.iostream.StringIO = Limited
    for stream in sys.stdout, sys.stderr:
        stream._buffers = collections.defaultdict(Limited)
    events.register("pre_run_cell", lambda info: written.__setitem__(0, 0))


def listen(address):
    """A socket at address: a path, or a port of this computer."""
    if not isinstance(address, str):
        return socket.create_server(tuple(address))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(16)
    return listener


def load(name, source):
    """Make a module from text; the box does not see the files of the course."""
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, f"<{name}>", "exec"), vars(module))
    return module


def install(shell, max_output, address, modules, work):
    """Prepare the kernel; modules is {name: source}, work the folder of the student's files."""
    sys.meta_path.insert(0, NoCoursePackage)
    limit_output(shell.events, max_output)
    for name, source in modules.items():
        load(name, source)
    door = sys.modules["kernel_door"].Door(listen(address), shell.user_ns)
    sys.modules["_homework_door"] = module = types.ModuleType("_homework_door")
    module.serve = door.serve
    os.chdir(work)
    # last, so that a file beside the notebook cannot stand in for a library
    sys.path[:] = [path for path in sys.path if path not in ("", os.path.dirname(work))] + [work]
