"""Places of the sample world, as a drive shows them and as the service names them."""

from __future__ import annotations

ACCOUNT = "Emulated Builders \uff0f Headquarters"
RAW_ACCOUNT = "Emulated Builders ~1 Headquarters"
SAMPLE = f"{ACCOUNT}/Sample Project/Project Files"
RAW_SAMPLE = f"{RAW_ACCOUNT}/Sample Project/Project Files"
QUIRKS = f"{ACCOUNT}/Quirks/Project Files"
QUICK = {"ttl": "300ms", "hub_ttl": "300ms", "patience": "3s", "rollup_trust": 0}
"""Settings under which changes show at once."""
CHUNKED = f"{QUIRKS}/Storage/signed in chunks.bin"
SHOWS_S = 8.0
"""How long a change may take to show under QUICK on a busy machine."""
