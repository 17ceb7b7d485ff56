"""The console: static pages that speak the same API as any client."""
