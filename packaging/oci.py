"""Packs a root filesystem as an OCI image, as a tar that docker (25 and newer) and podman load.

    oci.py ROOT.tar IMAGE.tar NAME ARCHITECTURE CREATED

What the image says of itself is read from the last stage of the Containerfile beside this file.
Prints the size of the layer in bytes, compressed and not.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import sys
import tarfile
from pathlib import Path
from typing import Any

CONTAINERFILE = Path(__file__).with_name("Containerfile")


def image_config(containerfile: str) -> dict[str, Any]:
    """``USER``, ``ENV`` … of the last stage, as an image's ``config`` has them."""
    stage = re.split(r"^FROM .*$", containerfile, flags=re.MULTILINE)[-1]
    config: dict[str, Any] = {}
    for line in stage.splitlines():
        word, _, rest = line.partition(" ")
        if word == "USER":
            config["User"] = rest
        elif word == "WORKDIR":
            config["WorkingDir"] = rest
        elif word == "ENV":
            config["Env"] = rest.split()
        elif word == "VOLUME":
            config["Volumes"] = {path: {} for path in json.loads(rest)}
        elif word in ("ENTRYPOINT", "CMD"):
            config[word.capitalize()] = json.loads(rest)
    return config


def write_image(root: Path, image: Path, name: str, architecture: str, created: str) -> list[int]:
    """Write ``image``; the size of the layer, compressed and not. ``created``: as in RFC 3339."""
    plain = root.read_bytes()
    packed = gzip.compress(plain, 9, mtime=0)
    blobs: dict[str, bytes] = {}

    def kept(content: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[digest] = content
        return {
            "mediaType": f"application/vnd.oci.image.{kind}",
            "digest": f"sha256:{digest}",
            "size": len(content),
        }

    layer = kept(packed, "layer.v1.tar+gzip")
    config = {
        "architecture": architecture,
        "os": "linux",
        "created": created,
        "config": image_config(CONTAINERFILE.read_text("utf-8")),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(plain).hexdigest()}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": kept(json.dumps(config).encode(), "config.v1+json"),
        "layers": [layer],
    }
    entry = kept(json.dumps(manifest).encode(), "manifest.v1+json")
    entry["annotations"] = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name":
                            name.rpartition(":")[2]}  # fmt: skip
    files = {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode(),
        **{f"blobs/sha256/{digest}": content for digest, content in blobs.items()},
    }
    with tarfile.open(image, "w") as tar:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return [len(packed), len(plain)]


def main(arguments: list[str]) -> int:
    """0 when done; 2 for a wrong command line."""
    if len(arguments) != 5:
        print(__doc__, file=sys.stderr)
        return 2
    root, image, *rest = arguments
    print(*write_image(Path(root), Path(image), *rest))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
