"""The box in which a submission runs: bubblewrap, with limits and without a network."""

import functools
import shutil
import site
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path

from jupyter_client.manager import AsyncKernelManager


def system_paths():
    """What a kernel must see: the system's libraries and this Python; no home, no course."""
    etc = ["ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "fonts", "localtime"]
    paths = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", *(f"/etc/{name}" for name in etc)]
    paths += [sys.base_prefix, sys.prefix, str(Path(sys.executable).resolve().parents[1])]
    paths += [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    return [path for path in dict.fromkeys(paths) if path != "/" and Path(path).exists()]


def box_command(folder, hidden=()):
    """The bwrap command line: only `folder` is writable, no network, `hidden` covered."""
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]
    command += ["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]
    for path in system_paths():
        command += ["--ro-bind", path, path]
    for path in map(Path, hidden):
        if path.is_dir() and any(path.is_relative_to(other) for other in system_paths()):
            command += ["--tmpfs", str(path)]
            for inner in system_paths():  # such as a virtual environment in the repository
                command += ["--ro-bind", inner, inner] if Path(inner).is_relative_to(path) else []
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"}
    variables["PYTHONUSERBASE"] = site.getuserbase()
    variables |= {"OMP_NUM_THREADS": "1", "MPLCONFIGDIR": f"{folder}/matplotlib"}
    for name, value in variables.items():
        command += ["--setenv", name, value]
    command += ["--bind", str(folder), str(folder), "--remount-ro", "/"]
    return [*command, "--chdir", f"{folder}/work", "--"]


@functools.cache
def can_isolate():
    """Whether bwrap is installed and the system lets it work."""
    if shutil.which("bwrap") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "work").mkdir()
        command = box_command(folder, IsolatedKernelManager.hidden)
        command += [sys.executable, "-c", "import ipykernel, scipy, matplotlib"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


class IsolatedKernelManager(AsyncKernelManager):
    """Starts each kernel in a box of its own, in a temporary folder that goes with it."""

    hidden = ()  # folders to cover although they lie below a system path
    memory_gib, file_mib = 4, 100

    def __init__(self, **kwargs):
        self.folder = Path(tempfile.mkdtemp(prefix="grade-"))
        (self.folder / "work").mkdir()
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        super().__init__(**kwargs)
        # a box without network is reached through files in its folder
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
        # a signal to bwrap would kill it, so interrupts travel as messages
        self.kernel_spec.interrupt_mode = "message"
        limits = []
        if shutil.which("prlimit"):
            limits = [f"--as={self.memory_gib << 30}", f"--fsize={self.file_mib << 20}", "--core=0"]
            limits = ["prlimit", *limits]
        command = super().format_kernel_cmd(extra_arguments)
        return [*limits, *box_command(self.folder, self.hidden), *command]

    async def start_kernel(self, **kwargs):
        """Copy the submission's other files into the box and start there."""
        submitted = Path(kwargs.pop("cwd", None) or self.folder)
        for path in submitted.iterdir() if submitted != self.folder else ():
            if path.is_file() and not path.is_symlink() and path.suffix != ".ipynb":
                shutil.copy(path, self.folder / "work")
        await super().start_kernel(
            cwd=str(self.folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kwargs
        )
