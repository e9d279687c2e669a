"""Prints each file for the desktop that the installed dmfs has: its name below /usr/share, its
permissions and where it is, with tabs between."""

from dmfs.desktop.share_files import share_files

for file in share_files():
    print(file.name, f"{file.mode:o}", file.source, sep="\t")
