"""Records what programs do when they save: ``python -m tests.write.traces.record [NAME …]``.

Runs each program below strace in a directory of its own, and writes ``NAME.json`` beside this file.
Programs that are not installed are left out. Not part of any test run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.write.traces.strace_lines import Reader

HERE = Path(__file__).parent
BASE = Path("/var/tmp")
"""Not below /tmp, where vim makes no backup."""


@dataclass(frozen=True)
class Scenario:
    """``script``: for sh, in the directory; ``prepare``: before it, unrecorded."""

    program: str
    script: str
    before: dict[str, int] = field(default_factory=lambda: {"plan.txt": 20_000})
    prepare: str = ""
    version: str = ""
    inject: str = ""
    """What strace makes of calls: a drive without symbolic links."""


VIM = "vim -u NONE -N --not-a-term -T dumb -c 'set backupskip= swapfile'"
EMACS = "emacs -Q --batch plan.txt --eval"
SCENARIOS = {
    "vim": Scenario(
        "vim",
        f"{VIM} -c 'normal ggIhello' -c wq plan.txt </dev/null >/dev/null 2>&1",
        version="vim --version | head -1",
    ),
    "vim_twice_with_backup": Scenario(
        "vim",
        f"{VIM} -c 'set backup' -c 'normal ggIhello' -c w -c 'normal Iho' -c wq plan.txt"
        " </dev/null >/dev/null 2>&1",
        version="vim --version | head -1",
    ),
    "emacs": Scenario(
        "emacs",
        f'{EMACS} \'(progn (goto-char 1) (insert "x") (do-auto-save) (save-buffer)'
        ' (insert "y") (save-buffer))\' >/dev/null 2>&1',
        version="emacs --version | head -1",
    ),
    "emacs_without_symlinks": Scenario(
        "emacs",
        f"{EMACS} '(progn (goto-char 1) (insert \"x\") (save-buffer))' >/dev/null 2>&1",
        version="emacs --version | head -1",
        inject="symlink,symlinkat:error=EPERM",
    ),
    "gio_save": Scenario(
        "gio", "head -c 30000 /dev/zero | gio save plan.txt", version="gio --version"
    ),
    "sed_in_place": Scenario("sed", "sed -i 's/1/2/' plan.txt", version="sed --version | head -1"),
    "perl_in_place": Scenario("perl", "perl -pi -e 's/1/2/' plan.txt"),
    "rsync": Scenario(
        "rsync",
        "rsync -aX ../source/ ./",
        prepare="mkdir -p ../source; head -c 50000 /dev/urandom > ../source/plan.txt;"
        " head -c 999 /dev/urandom > ../source/new.txt",
        version="rsync --version | head -1",
    ),
    "rsync_inplace": Scenario(
        "rsync",
        "rsync -a --inplace --no-whole-file ../source/ ./",
        prepare="mkdir -p ../source; (cat plan.txt; echo more) > ../source/plan.txt",
        version="rsync --version | head -1",
    ),
    "cp_over": Scenario(
        "cp", "cp -a ../source.txt plan.txt", prepare="head -c 300000 /dev/zero > ../source.txt"
    ),
    "cp_new": Scenario(
        "cp", "cp ../source.txt new.txt", prepare="head -c 300000 /dev/zero > ../source.txt"
    ),
    "mv_over": Scenario("mv", "head -c 999 /dev/zero > new.txt; mv -f new.txt plan.txt"),
    "append": Scenario("sh", "for i in 1 2 3; do echo $i >> plan.txt; done"),
    "dd_and_truncate": Scenario(
        "dd",
        "dd if=/dev/zero of=plan.txt bs=4096 seek=1 count=2 conv=notrunc,fsync 2>/dev/null;"
        " truncate -s 70000 plan.txt",
    ),
    "tar_over": Scenario(
        "tar",
        "tar xf ../a.tar",
        prepare="tar cf ../a.tar plan.txt",
        version="tar --version|head -1",
    ),
    "unzip_over": Scenario("unzip", "unzip -qo ../a.zip", prepare="zip -q ../a.zip plan.txt"),
    "zip_update": Scenario(
        "zip",
        "zip -q a.zip ../more.txt",
        before={},
        prepare="echo some > plan.txt; zip -q a.zip plan.txt; rm plan.txt; echo more > ../more.txt",
    ),
    "sqlite_journal": Scenario(
        "sqlite3",
        'sqlite3 a.db "insert into t values(1); insert into t values(2);"',
        before={},
        prepare='sqlite3 a.db "create table t(x);"',
        version="sqlite3 --version | cut -c1-6",
    ),
    "sqlite_wal": Scenario(
        "sqlite3",
        'sqlite3 a.db "insert into t values(1); insert into t values(2);"',
        before={},
        prepare='sqlite3 a.db "pragma journal_mode=wal; create table t(x);" >/dev/null',
        version="sqlite3 --version | cut -c1-6",
    ),
    "git_commit": Scenario(
        "git",
        "git add plan.txt && git -c gc.auto=0 -c user.name=a -c user.email=b commit -qm x",
        prepare="git init -q . && rm -rf .git/hooks && git config core.createObject rename",
        version="git --version",
    ),
    "python_tempfile": Scenario(
        "python3",
        '/usr/bin/python3 -c "import tempfile,os\n'
        "f=tempfile.NamedTemporaryFile(dir='.',delete=False); f.write(b'x'*9000); f.flush()\n"
        "os.fsync(f.fileno()); f.close(); os.replace(f.name,'plan.txt')\"",
    ),
    "python_open": Scenario(
        "python3", "/usr/bin/python3 -c \"f=open('plan.txt','w'); f.write('x'*9000); f.close()\""
    ),
    "libreoffice": Scenario(
        "soffice",
        "/usr/bin/python3 ../store.py",
        before={},
        prepare="cp ../made.ods plan.ods",
        version="soffice --version",
    ),
}

STORE = """
import os, subprocess, sys, time, uno
from com.sun.star.beans import PropertyValue
os.environ["SAL_USE_VCLPLUGIN"] = "svp"
pipe = "trace%d" % os.getpid()
office = subprocess.Popen(["soffice", "--headless", "--norestore", "--nologo",
    "-env:UserInstallation=file://" + os.path.abspath("../profile"),
    "--accept=pipe,name=%s;urp;" % pipe])
local = uno.getComponentContext()
resolver = local.ServiceManager.createInstanceWithContext(
    "com.sun.star.bridge.UnoUrlResolver", local)
for _ in range(600):
    try:
        there = resolver.resolve("uno:pipe,name=%s;urp;StarOffice.ComponentContext" % pipe)
        break
    except Exception:
        time.sleep(0.2)
desktop = there.ServiceManager.createInstanceWithContext("com.sun.star.frame.Desktop", there)
hidden = PropertyValue("Hidden", 0, True, 0)
if len(sys.argv) > 1:
    made = desktop.loadComponentFromURL("private:factory/scalc", "_blank", 0, (hidden,))
    made.Sheets[0].getCellByPosition(0, 0).Value = 1
    made.storeAsURL("file://" + os.path.abspath(sys.argv[1]), ())
    made.close(True)
else:
    url = "file://" + os.path.abspath("plan.ods")
    document = desktop.loadComponentFromURL(url, "_blank", 0, (hidden,))
    for value in (2, 3):
        document.Sheets[0].getCellByPosition(0, 0).Value = value
        document.store()
    document.close(True)
desktop.terminate()
office.wait()
"""


def sizes(directory: Path) -> dict[str, int]:
    return {
        str(each.relative_to(directory)): each.stat().st_size
        for each in sorted(directory.rglob("*"))
        if each.is_file() and not each.is_symlink()
    }


def record(name: str, scenario: Scenario) -> None:
    with tempfile.TemporaryDirectory(dir=BASE) as top:
        directory = Path(top, "folder")
        directory.mkdir()
        Path(top, "tmp").mkdir()
        Path(top, "store.py").write_text(STORE)
        for file, size in scenario.before.items():
            directory.joinpath(file).write_text("".join(f"{n}\n" for n in range(size))[:size])
        if name == "libreoffice":
            run = ["/usr/bin/python3", "../store.py", "../made.ods"]
            subprocess.run(run, cwd=directory, check=True)
        subprocess.run(["sh", "-c", scenario.prepare], cwd=directory, check=True)
        before = sizes(directory)
        folders = [str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_dir()]
        log = Path(top, "strace")
        command = ["strace", "-f", "-y", "-s", "255", "-o", str(log), "-e"]
        command += ["trace=%file,%desc,process,mmap,munmap"]
        command += ["-e", f"inject={scenario.inject}"] if scenario.inject else []
        command += ["--", "sh", "-c", scenario.script]
        environment = {**os.environ, "HOME": top, "TMPDIR": f"{top}/tmp"}
        subprocess.run(command, cwd=directory, check=True, env=environment)
        with log.open(encoding="utf-8", errors="replace") as lines:
            ops = Reader(str(directory)).read(lines)
        version = scenario.program
        if scenario.version:
            told = subprocess.run(
                ["sh", "-c", scenario.version], capture_output=True, text=True, check=False
            )
            version = told.stdout.strip().splitlines()[0]
        trace = {
            "program": scenario.program,
            "source": f"recorded with strace: {version}",
            "before": before,
            "folders": sorted(folders),
            "ops": ops,
            "after": sizes(directory),
        }
    write(HERE / f"{name}.json", trace)
    print(name, len(ops), "operations")


def write(path: Path, trace: dict) -> None:
    """One operation a line."""
    head = {key: value for key, value in trace.items() if key != "ops"}
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    ops = ",\n".join(f"  {json.dumps(op)}" for op in trace["ops"])
    path.write_text("{\n" + ",\n".join(lines) + ',\n "ops": [\n' + ops + "\n ]\n}\n")


if __name__ == "__main__":
    for each in sys.argv[1:] or SCENARIOS:
        if shutil.which(SCENARIOS[each].program):
            record(each, SCENARIOS[each])
        else:
            print(each, "is not installed here")
