"""The machine that the drive runs on: clocks, threads of a disk, shared memory. Knows no drive."""
