"""Parts of changes: finding what an order is about, its moment, and versions of items."""
