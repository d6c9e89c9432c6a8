"""The box in which a submission runs: bubblewrap, with limits and without a network."""

import functools
import os
import shutil
import site
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path

from jupyter_client.manager import AsyncKernelManager
from watch import Watch

MEMORY_GIB, FILE_MIB, TMP_MIB = 4, 100, 256
VISIBLE = "assert all(map(u.find_spec, ('ipykernel', 'scipy', 'matplotlib')))"


def system_paths():
    """What a kernel must see: the system's libraries and this Python; no home, no course."""
    etc = ["ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "fonts", "localtime"]
    paths = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", *(f"/etc/{name}" for name in etc)]
    paths += [sys.base_prefix, sys.prefix, str(Path(sys.executable).resolve().parents[1])]
    paths += [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    return [path for path in dict.fromkeys(paths) if path != "/" and Path(path).exists()]


@functools.cache
def bwrap_options():
    """No network, no capability even for root, and no way to get one by a new user namespace."""
    text = subprocess.run(["bwrap", "--help"], capture_output=True, text=True, check=False).stdout
    options = ["--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"]
    options += ["--clearenv", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL"]
    return options + (["--disable-userns"] if "--disable-userns" in text else [])


def box_command(folder, writable=(), readable=None, hidden=()):
    """The bwrap command line; of the disk, only folder and the paths of writable are writable.

    readable is {path: where it is seen}; hidden are folders to cover although they lie below a
    system path.
    """
    command = ["bwrap", *bwrap_options(), "--dev", "/dev", "--proc", "/proc"]
    for path in ("/tmp", "/dev/shm"):
        command += ["--size", str(TMP_MIB << 20), "--tmpfs", path]
    for path in system_paths():
        command += ["--ro-bind", path, path]
    for path in map(Path, hidden):
        if path.is_dir() and any(path.is_relative_to(other) for other in system_paths()):
            command += ["--tmpfs", str(path)]
            for inner in system_paths():  # such as a virtual environment in the repository
                command += ["--ro-bind", inner, inner] if Path(inner).is_relative_to(path) else []
    for path, place in (readable or {}).items():
        command += ["--ro-bind", str(path), str(place)]
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"}
    variables["PYTHONUSERBASE"] = site.getuserbase()
    variables |= {"OMP_NUM_THREADS": "1", "MPLCONFIGDIR": f"{folder}/matplotlib"}
    for name, value in variables.items():
        command += ["--setenv", name, value]
    for path in (folder, *writable):
        command += ["--bind", str(path), str(path)]
    return [*command, "--remount-ro", "/", "--chdir", str(folder), "--"]


def limits():
    """A prefix that limits each process by itself; watch.py limits a submission as a whole."""
    if not shutil.which("prlimit"):
        return []
    return ["prlimit", f"--as={MEMORY_GIB << 30}", f"--fsize={FILE_MIB << 20}", "--core=0"]


@functools.cache
def can_isolate():
    """Whether bwrap is installed and the system lets it work."""
    if shutil.which("bwrap") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        command = box_command(folder, hidden=GradingKernelManager.hidden)
        # numpy stands for all compiled libraries; to import the others takes seconds
        command += [sys.executable, "-c", "import numpy, importlib.util as u; " + VISIBLE]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


class GradingKernelManager(AsyncKernelManager):
    """Starts each kernel in a temporary folder that goes with it, and in a box where that works.

    The submission's other files lie in its subfolder work, where Python does not look for modules
    before kernel_side.py has run.
    """

    hidden = ()  # folders to cover although they lie below a system path
    doors = None  # the folder of the socket to the tests
    watch = None

    def __init__(self, **kwargs):
        self.folder = Path(tempfile.mkdtemp(prefix="grade-"))
        (self.folder / "work").mkdir()
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        super().__init__(**kwargs)
        if can_isolate():  # a box without network is reached through files in its folder
            self.transport, self.connection_file = "ipc", str(self.folder / "kernel.json")
            self.ip = str(self.folder / "kernel-ipc")
            self.copy_font_cache()

    def copy_font_cache(self):
        """Without matplotlib's list of fonts each kernel would spend seconds on making it."""
        try:
            import matplotlib.font_manager

            shutil.copytree(
                matplotlib.get_cachedir(),
                self.folder / "matplotlib",
                ignore=lambda folder, names: [n for n in names if not n.startswith("fontlist")],
            )
        except (ImportError, OSError):
            (self.folder / "matplotlib").mkdir(exist_ok=True)

    def format_kernel_cmd(self, extra_arguments=None):
        command = super().format_kernel_cmd(extra_arguments)
        if not can_isolate():
            return command
        # a signal to bwrap would kill it, so interrupts travel as messages
        self.kernel_spec.interrupt_mode = "message"
        writable = (self.doors,) if self.doors else ()
        box = box_command(self.folder, writable, hidden=self.hidden)
        return [*limits(), *box, "env", "PYTHONSAFEPATH=1", *command]

    async def start_kernel(self, **kwargs):
        """Copy the submission's other files into the box and start there."""
        submitted = Path(kwargs.pop("cwd", None) or self.folder)
        for path in submitted.iterdir() if submitted != self.folder else ():
            if path.is_file() and not path.is_symlink() and path.suffix != ".ipynb":
                shutil.copy(path, self.folder / "work")
        where = {"cwd": str(self.folder), "env": {**os.environ, "PYTHONSAFEPATH": "1"}}
        nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        await super().start_kernel(**{**kwargs, **where, **nowhere})
        if can_isolate():
            limits = {"memory": MEMORY_GIB << 30, "disk": 2 * (FILE_MIB << 20)}
            self.watch = Watch(self.provisioner.process, self.folder, **limits)
