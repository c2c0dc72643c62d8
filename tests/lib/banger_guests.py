"""A session with a real Debian guest: the kernel and the image are made from Debian's packages once, and kept in
$BANGER_E2E_CACHE, so that each script finds them there.  Two scripts that use them cannot run at once.
"""
import hashlib
import os
import shutil

from banger_session import Session

IMAGE, KERNEL = "debian:bookworm", "debian"
MEMORY = ("--memory", "256M")
RECIPE = "3"  # another one whenever an image is made otherwise than before


def read(path):
    try:
        with open(path, encoding="ascii") as f:
            return f.read()
    except FileNotFoundError:
        return None


class Guests(Session):
    def __init__(self, env=None):
        super().__init__(env)
        self.state = f"{os.environ['BANGER_E2E_CACHE']}/state"
        os.makedirs(self.state, mode=0o700, exist_ok=True)
        self.env["BANGER_STATE_DIR"] = self.state
        self.clear()  # what a run that was killed has left
        stamp, programs = f"{os.environ['BANGER_E2E_CACHE']}/programs", self.programs()
        if read(stamp) != programs or self.run("kernel", "show", KERNEL, check=False).returncode != 0:
            self.run("kernel", "import", "--name", KERNEL, "--force", deadline=600)
            with open(stamp, "w", encoding="ascii") as f:
                f.write(programs)
        recipe = f"{os.environ['BANGER_E2E_CACHE']}/recipe"
        if read(recipe) != RECIPE or self.run("image", "show", IMAGE, check=False).returncode != 0:
            self.run("image", "build", IMAGE, "--force", deadline=600)
            with open(recipe, "w", encoding="ascii") as f:
                f.write(RECIPE)

    def programs(self):
        """What goes into a kernel's initrd, or makes it: another one is needed when it has changed."""
        digest = hashlib.sha256()
        for name in ("banger-init", "banger-agent", "banger-imager"):
            with open(f"{self.libexec}/{name}", "rb") as f:
                digest.update(f.read())
        return digest.hexdigest()

    def create(self, name, *args):
        return self.run("vm", "create", "--name", name, *MEMORY, *args)

    def exec(self, name, *argv, check=True, **more):
        """Its output; `more` as for run()."""
        p = self.run("vm", "exec", name, "--", *argv, check=check, **more)
        return p.stdout if check else p

    def close(self):
        self.clear()
        self.run("daemon", "stop", check=False)
        shutil.rmtree(self.top)
