import os, json, time
from pathlib import Path
from tests.support.mounts import wait_until
from tests.support.sample import SAMPLE


def uploads(calm):
    return calm.writes()


def test_new(make_drive, calm):
    d = make_drive(options=["rw"])
    base = d.path(SAMPLE)
    print(os.listdir(base))
    p = base + "/new file.txt"
    with open(p, "wb") as f:
        f.write(b"hello " * 1000)
    assert Path(p).read_bytes() == b"hello " * 1000
    st = os.stat(p)
    print(st)
    try:
        wait_until(lambda: any(i["name"] == "new file.txt" for i in calm.writes()["items"]), 8)
    finally:
        print(d.log()[-3000:])
    print(json.dumps(calm.writes(), indent=1)[:2500])
    print(calm.violations(), d.counts())
    st2 = os.stat(p)
    assert (st.st_ino, st.st_mtime_ns, st.st_size) == (st2.st_ino, st2.st_mtime_ns, st2.st_size)
    with open(p, "r+b") as f:
        f.seek(6)
        f.write(b"WORLD")
    want = b"hello " + b"WORLD" + (b"hello " * 1000)[11:]
    assert Path(p).read_bytes() == want
    wait_until(
        lambda: (
            [len(i["versions"]) for i in calm.writes()["items"] if i["name"] == "new file.txt"]
            == [2]
        ),
        8,
    )
    assert calm.violations() == {}
    # an old file
    q = base + "/README.txt"
    old = Path(q).read_bytes()
    ino = os.stat(q).st_ino
    with open(q, "ab") as f:
        f.write(b"more")
    assert Path(q).read_bytes() == old + b"more"
    assert os.stat(q).st_ino == ino
    wait_until(
        lambda: [len(i["versions"]) for i in calm.writes()["items"] if i["name"] == "README.txt"], 8
    )
    print(json.dumps(calm.writes(), indent=1)[:4500])
    # vim
    os.rename(q, q + "~")
    with open(q, "wb") as f:
        f.write(b"anew")
        f.flush()
        os.fsync(f.fileno())
    os.unlink(q + "~")
    time.sleep(1)
    print(json.dumps(calm.writes(), indent=1)[:4500])
    os.rename(p, base + "/renamed.txt")
    os.mkdir(base + "/folder")
    with open(base + "/folder/x", "w") as f:
        f.write("x")
    time.sleep(2)
    print(json.dumps(calm.writes(), indent=1)[-6500:])
    os.unlink(base + "/folder/x")
    time.sleep(2)
    os.rmdir(base + "/folder")
    print(os.listdir(base), os.listdir(base + "/"))
    print(d.counts(), calm.violations())
    print(d.log()[-3000:])
